//! Questions and answers.

use depot_tests::in_process::life;

use crate::site::Site;

#[test]
fn a_question_gets_its_answer_and_says_who_asked() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.server("a").run().await, site.server("b").run().await);
        a.until_up("b").await;
        b.until_up("a").await;
        assert_eq!(a.ask("b", b"hello").await.unwrap(), "a: hello");
        assert_eq!(b.ask("a", b"hello").await.unwrap(), "b: hello");
    });
}
