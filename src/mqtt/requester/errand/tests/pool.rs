use super::*;

#[test]
fn on_a_pool_the_first_done_counts_and_later_pictures_of_others_do_not() {
    let mut trial = Trial::pool();
    let watched = trial.hears("diffused/jet1/reply/cam/a1/status", state("accepted", 1));
    assert_eq!(watched[0], Act::Subscribe(vec!["diffused/jet1/availability".into()]));
    trial.hears("diffused/jet2/reply/cam/a1/status", state("accepted", 1));
    trial.hears("diffused/jet1/reply/cam/a1/image/0", b"of jet1");
    trial.hears("diffused/jet2/reply/cam/a1/status", done(b"of jet2", 0));
    trial.hears("diffused/jet1/reply/cam/a1/status", done(b"of jet1", 0));
    assert_eq!(trial.errand.result(), None);
    assert_eq!(published(&trial.after(3.1)), ["diffused/jet2/command/cam"]);
    trial.hears("diffused/jet2/reply/cam/a1/image/0", b"of jet2");
    assert_eq!(trial.errand.result().unwrap().pictures, [b"of jet2"]);
}

#[test]
fn a_pool_is_asked_again_when_the_node_that_accepted_is_gone_for_thirty_seconds() {
    let mut trial = Trial::pool();
    trial.hears("diffused/jet1/reply/cam/a1/status", state("accepted", 1));
    trial.hears("diffused/jet1/availability", "offline");
    assert!(trial.after(29.0).is_empty());
    trial.hears("diffused/jet1/availability", "offline");
    assert_eq!(published(&trial.after(1.1)), ["diffused/pool/studio/request/cam"]);
    trial.hears("diffused/jet2/reply/cam/a1/status", state("accepted", 1));
    assert!(trial.after(100.0).is_empty());
}

#[test]
fn a_node_of_a_pool_that_comes_back_in_time_is_asked_itself() {
    let mut trial = Trial::pool();
    trial.hears("diffused/jet1/reply/cam/a1/status", state("accepted", 1));
    trial.hears("diffused/jet1/availability", "offline");
    trial.after(20.0);
    let acts = trial.hears("diffused/jet1/availability", "online");
    assert_eq!(published(&acts), ["diffused/jet1/request/cam"]);
    assert!(trial.after(100.0).is_empty());
}

#[test]
fn a_failure_on_one_node_of_a_pool_is_none_while_another_works() {
    let mut trial = Trial::pool();
    trial.hears("diffused/jet1/reply/cam/a1/status", state("accepted", 1));
    trial.hears("diffused/jet2/reply/cam/a1/status", state("accepted", 1));
    trial.hears("diffused/jet1/reply/cam/a1/status", state("failed", 2));
    let last = trial.tries(message("diffused/jet2/reply/cam/a1/status", state("failed", 2).as_bytes()));
    assert!(last.is_err());
}
