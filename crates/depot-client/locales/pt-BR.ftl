## Inícios de mensagens
error = erro
warning = aviso
interrupted = interrompido; o que foi transferido fica guardado, o mesmo comando continua dali

## A linha de comando e sua ajuda
about-top = O cliente de um depósito: deposita arquivos, diz quantos outros servidores devem guardar uma cópia, e os recupera.
usage-top = depot-client --host HOST --port PORTA [--id UUID] [--json] [COMANDO]
about-prompt = Os comandos do prompt; os mesmos podem estar no fim da linha de comando.
usage-prompt = COMANDO
help-template = {"{about}"}

    Uso: {"{usage}"}

    {"{all-args}{after-help}"}
help-template-commands = {"{about}"}

    Uso: {"{usage}"}

    {"{all-args}{after-help}"}
heading-commands = Comandos
heading-arguments = Argumentos
heading-options = Opções
heading-exit = Códigos de saída:
value-HOST = HOST
value-PORT = PORTA
value-UUID = UUID
value-PATH = CAMINHO
value-NAME = NOME
value-N = N
value-COMMAND = COMANDO
arg-help = Mostra esta ajuda
arg-version = Mostra a versão
arg-json = Resultados como linhas de JSON
arg-top-host = O nome ou endereço do servidor; perguntado num terminal
arg-top-port = A porta do servidor; perguntada num terminal
arg-top-id = Seu id, se não for o guardado para este servidor. Aqui outros nesta máquina podem vê-lo: melhor DEPOT_ID ou DEPOT_ID_FILE
examples-top =
    Sem COMANDO, recebe comandos do prompt, ou de um pipe, um por linha.

    Exemplos:
      depot-client --host 127.0.0.1 --port 7070 deposit carta.txt
      depot-client --host 127.0.0.1 --port 7070 list --json
      depot-client --host 127.0.0.1 --port 7070

    Variáveis:
      DEPOT_ID, DEPOT_ID_FILE  seu id, ou um arquivo cuja última linha é ele
      DEPOT_HOME               onde ids e o histórico são guardados [~/.local/share/depot]
      LC_ALL, LC_MESSAGES, LANG  pt: o cliente fala português
examples-prompt = help COMANDO explica um comando e mostra exemplos.

about-deposit = Deposita arquivos, e pastas com tudo o que há nelas. Também: depositar.
usage-deposit = deposit CAMINHO... [--replicas N] [--name NOME]
arg-deposit-paths = Arquivos e pastas. Um arquivo é depositado com seu próprio nome, uma pasta como PASTA/...; links simbólicos numa pasta ficam de fora
arg-deposit-replicas = Em quantos outros servidores; sem isto, em quantos o arquivo já está, um novo em 1, ou em 0 se o servidor está só
arg-deposit-name = O nome com que depositar; com / no fim, a pasta para todos
examples-deposit =
    Exemplos:
      deposit carta.txt
      deposit carta.txt --name cartas/primeira.txt --replicas 2
      deposit fotos musica --name backup/

    O que foi cortado continua dali quando é depositado de novo.

about-recover = Recupera arquivos. Também: recuperar.
usage-recover = recover NOME... [--to CAMINHO] [--force]
arg-recover-names = Nomes de arquivos; um que termina em / é tudo abaixo dele
arg-recover-to = Para onde: um arquivo, ou uma pasta, na qual as / dos nomes viram pastas; - é a saída padrão [aqui]
arg-recover-force = Substitui arquivos que já estão lá
examples-recover =
    Exemplos:
      recover cartas/primeira.txt
      recover cartas/primeira.txt --to carta.txt
      recover cartas/ fotos/ --to restaurado

    O que foi cortado continua dali quando é recuperado de novo.

about-list = Lista seus arquivos: tamanho, réplicas que há / desejadas, hora do depósito, nome. Também: listar.
usage-list = list
examples-list =
    Exemplos:
      list
      list --json

about-stat = Conta tudo sobre um arquivo. Também: consultar.
usage-stat = stat NOME
arg-stat-name = O nome do arquivo
examples-stat =
    Exemplos:
      stat cartas/primeira.txt

about-replicas = Altera quantas réplicas de um arquivo são desejadas; elas seguem em segundo plano. Também: alterar.
usage-replicas = replicas NOME N
arg-replicas-name = O nome do arquivo
arg-replicas-replicas = Em quantos outros servidores, de 0 a 255
examples-replicas =
    Exemplos:
      replicas cartas/primeira.txt 2

about-remove = Remove um arquivo do depósito. Também: remover.
usage-remove = remove NOME
arg-remove-name = O nome do arquivo
examples-remove =
    Exemplos:
      remove cartas/primeira.txt

about-servers = Mostra os servidores do depósito. Também: servidores.
usage-servers = servers
examples-servers =
    Exemplos:
      servers

about-id = Mostra seu id. Quem o conhece tem seus arquivos.
usage-id = id
examples-id =
    Exemplos:
      id

about-help = Explica os comandos, ou um deles. Também: ajuda.
usage-help = help [COMANDO]
arg-help-command = O comando
examples-help =
    Exemplos:
      help deposit

about-quit = Sai. Também: sair.
usage-quit = quit
examples-quit =
    Exemplos:
      quit

## O que há de errado numa linha de comando
wrong-unknown-argument = "{ $word }" não é esperado aqui.
wrong-unknown-command = "{ $word }" não é um comando.
wrong-missing = falta { $word }.
wrong-no-value = { $word } precisa de um valor.
wrong-value = "{ $value }" não é possível para { $word }.
wrong-twice = { $word } não pode ser dado duas vezes, ou não junto com o resto.
wrong-utf8 = Uma palavra não é UTF-8.
wrong-other = Isto não foi entendido.
wrong-hint = Seria { $word }?
see-help = depot-client --help explica tudo.
server-missing = falta o servidor: dê --host HOST e --port PORTA
host-invalid = "{ $host }" não é um host: um nome ou um endereço IP é esperado
quote-open = falta fechar uma aspa
name-invalid = "{ $name }" não é um nome: 1 a 1024 bytes sem caracteres de controle, em que nenhuma parte entre / é vazia, "." ou ".."
stdout-one-file = um arquivo pode ir para a saída padrão (--to -), não vários

## Códigos de saída
exit-0 = feito
exit-1 = uma falha sem código próprio
exit-2 = linha de comando errada
exit-3 = não há tal arquivo
exit-4 = recusado como está: réplicas demais, grande demais, ...
exit-5 = nada mudou: tente mais tarde, ou outro servidor
exit-6 = pode ter acontecido: repita, o que não faz mal
exit-7 = nenhum servidor é alcançado
exit-8 = um arquivo ou pasta desta máquina
exit-9 = bytes errados, ou não é um servidor de depósito
exit-130 = interrompido

## Perguntas
ask-role =
    Participar como
      1  servidor  (s)   guarda arquivos para outros
      2  cliente   (c)   deposita e recupera arquivos
    Qual?
role-invalid = Por favor responda 1 ou 2, s ou c, servidor ou cliente.
role-missing = falta como participar: depot server --port PORTA, ou depot client --host HOST --port PORTA [--id UUID] [COMANDO]
role-usage =
    depot                       pergunta tudo
    depot server [OPÇÃO...]     como depot-server, veja depot server --help
    depot client [OPÇÃO...] [COMANDO]    como depot-client, veja depot client --help
ask-host = Host [127.0.0.1]:
host-wrong = Um nome de host ou um endereço IP é esperado.
ask-port = Porta [7070]:
ask-port-server = Porta em que escutar [7070]:
port-invalid = Uma porta é um número de 1 a 65535.
ask-id = Seu id [vazio: um novo]:
ask-id-kept = Seu id [vazio: o guardado para este servidor; novo: um novo]:
id-wrong = Um id tem 36 caracteres, como 123e4567-e89b-42d3-a456-426614174000.
menu =
    1  depositar         (d)
    2  recuperar         (r)
    3  listar            (l)
    4  alterar réplicas  (a)
    5  sair              (s)
    Um número, uma letra ou uma palavra escolhe; help mostra todos os comandos, menu mostra isto de novo.
ask-path = Arquivo ou pasta:
ask-replicas = Réplicas em outros servidores [vazio: como estava, um arquivo novo 1 se há outro servidor]:
ask-replicas-new = Réplicas em outros servidores:
replicas-invalid = Um número de 0 a 255 é esperado.
ask-name = Nome:
ask-to = Para qual arquivo ou pasta [vazio: aqui]:
welcome = { $server } está conectado. help mostra os comandos, Tab completa, quit ou Ctrl-D sai.
how-to-leave = quit ou Ctrl-D sai.

## Ids
id-new =
    Seu novo id é { $id }
    Guarde-o: quem o conhece tem seus arquivos, e sem ele estão perdidos para você.
    Nesta máquina está guardado em { $path }
id-new-quiet = Um novo id foi emitido; está guardado em { $path }. O comando id o mostra: sem ele seus arquivos estão perdidos para você.
id-new-not-kept =
    Seu novo id é { $id }
    Guarde-o, não pôde ser guardado aqui: quem o conhece tem seus arquivos, e sem ele estão perdidos para você.
id-in-arguments = um id na linha de comando pode ser visto por outros nesta máquina e fica no histórico do shell; DEPOT_ID_FILE ou DEPOT_ID o esconde
id-invalid = o que { $origin } dá não é um id: 36 caracteres como 123e4567-e89b-42d3-a456-426614174000
id-file-invalid = { $path } não tem um id na última linha
id-file-fault = o id não pode ser guardado ou lido: { $path }: { $cause }
id-file-open = outros nesta máquina podem ler { $path }: chmod 600 o esconde

## Arquivos locais
nothing-to-deposit = Não há arquivo ali: nada a depositar.
source-no-file = { $path } não é arquivo nem pasta: não pode ser depositado
source-left-out = { $path } é um link simbólico ou não é arquivo: ficou de fora
source-no-name = { $path } não tem nome próprio: dê um com --name
source-not-utf8 = o nome de { $path } não é UTF-8, como são os do depósito: dê-lhe outro, ou deposite-o só com --name NOME
source-bad-name = { $path } não pode ser depositado como "{ $name }": um nome tem 1 a 1024 bytes sem caracteres de controle; --name dá outro
source-twice = { $path } seria depositado como "{ $name }", como { $first }
source-changed = { $path } mudou enquanto era enviado: nada foi guardado
local-fault = { $path }: { $cause }
target-exists = { $path } já existe: --force o substitui
target-name = este sistema não pode ter um arquivo com esse nome abaixo do destino: --to ARQUIVO lhe dá outro
target-no-folder = { $path } não é uma pasta, ou é um link simbólico: nada é escrito através dele
part-taken = { $path } está no caminho: o arquivo é montado com esse nome; mude-o de lugar
part-busy = { $path }: este arquivo já está sendo recuperado, por outro comando
part-no-room = { $path }: não há espaço no disco para os bytes que faltam
output-fault = os resultados não podem ser escritos: { $cause }
internal-fault = isto não pode continuar: { $cause }

## Resultados
deposited = depositado { $name } ({ $size }, réplicas: { $copies } de { $replicas })
deposited-resumed = depositado { $name } ({ $size }, { $from } deles antes, réplicas: { $copies } de { $replicas })
recovered = recuperado { $name } em { $path } ({ $size })
recovered-resumed = recuperado { $name } em { $path } ({ $size }, { $from } deles antes)
local-read = { $name }: o servidor não alcança uma maioria, uma versão mais nova pode estar em outro
local-list = o servidor não alcança uma maioria: arquivos mais novos podem faltar aqui, e removidos aparecer
nothing-below = não há arquivo abaixo de { $name }
list-heading = {"   TAMANHO   CÓPIAS  DEPOSITADO            NOME"}
list-empty = Nenhum arquivo.
stat =
    nome        { $name }
    tamanho     { $size } ({ $bytes } bytes)
    hash        { $hash }
    réplicas    { $copies } de { $replicas }
    depositado  { $deposited }
replicas-set = { $name }: { $replicas } réplicas são desejadas, há { $copies }
removed = removido { $name }
server-active = ativo
server-inactive = não alcançado

## O que um servidor ou a rede diz
retrying = { $name }: { $cause }; tentando de novo
refused = { $meaning } [{ $code }: { $message }]
refusal-cabecalho_invalido = o servidor não entende o pedido
refusal-campo_invalido = o servidor acha errado um campo do pedido
refusal-nome_invalido = o servidor não aceita esse nome
refusal-arquivo_inexistente = não há tal arquivo
refusal-copia_indisponivel = nenhum servidor com uma cópia boa é alcançado agora; nada se perdeu, tente mais tarde
refusal-replicas_indisponiveis = não há tantos outros servidores
refusal-deslocamento_invalido = o que está guardado da transferência mudou; tente de novo
refusal-hash_divergente = o servidor recebeu outros bytes que os enviados; nada foi guardado
refusal-limite_excedido = grande demais, acima de uma cota, ou conexões demais
refusal-sem_espaco = o servidor não tem espaço; nada foi guardado
refusal-copias_insuficientes = servidores de menos puderam fazer uma cópia; o que foi enviado fica, tente mais tarde
refusal-sem_quorum = nenhuma maioria dos servidores é alcançada, nada mudou; recuperar ainda funciona
refusal-resultado_desconhecido = não foi confirmado a tempo e ainda pode ter efeito; repita
refusal-servidor_indisponivel = este servidor não aceita mudanças agora; outro talvez
refusal-mensagem_incompleta = a conexão terminou no meio de uma mensagem
refusal-tempo_esgotado = o servidor esperou demais
refusal-encerrando = o servidor está encerrando; tente mais tarde, ou outro
refusal-interno = uma falha do servidor; pode ter acontecido
hash-mismatch = os bytes que vieram não têm o hash anunciado e foram descartados
replaced = o arquivo foi substituído enquanto era recuperado: recupere-o de novo
no-depot = { $server } não fala como um servidor de depósito: { $what }
unreachable = nenhum servidor é alcançado: { $tried }
cut = a conexão com { $server } foi cortada: { $cause }; o mesmo comando continua dali
unanswered = { $server } não respondeu, então pode ter acontecido: { $cause }; repita, o que não faz mal
