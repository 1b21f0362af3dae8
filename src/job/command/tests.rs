use super::*;

fn read(payload: &str) -> Result<Command, (Code, Option<String>)> {
    let order = Command::parse(payload.as_bytes(), false, 200);
    order.map(|order| order.what).map_err(|refused| (refused.rejection.code, refused.rejection.field))
}

#[test]
fn a_job_or_all_jobs_can_be_cancelled() {
    let one = Command::parse(br#"{"id":"c1","command":"cancel","job":"a1"}"#, false, 100);
    let job = JobId::try_from("a1").ok();
    assert_eq!(one, Ok(Order { id: Some("c1".into()), what: Command::Cancel { job } }));
    assert_eq!(read(r#"{"command":"cancel","job":"*"}"#), Ok(Command::Cancel { job: None }));
}

#[test]
fn pictures_and_parts_can_be_asked_for_again() {
    let job = JobId::try_from("a1").unwrap();
    let get = |what| Ok(Command::Get { job: job.clone(), what });
    assert_eq!(read(r#"{"command":"get","job":"a1"}"#), get(Asked::All));
    assert_eq!(read(r#"{"command":"get","job":"a1","k":2}"#), get(Asked::Picture(2)));
    let ranges = PartRanges::parse(&serde_json::json!([[3, 5], 9])).unwrap();
    assert_eq!(read(r#"{"command":"get","job":"a1","k":0,"parts":[[3,5],9]}"#), get(Asked::Parts(0, ranges)));
}

#[test]
fn what_is_no_command_says_why() {
    let field = |name: &str| Err((Code::InvalidField, Some(name.to_owned())));
    assert_eq!(read("cancel"), Err((Code::Malformed, None)));
    assert_eq!(read(&" ".repeat(201)), Err((Code::PayloadTooLarge, None)));
    assert_eq!(read(r#"{"command":"cancel"}"#), field("job"));
    assert_eq!(read(r#"{"command":"cancel","job":"a/b"}"#), field("job"));
    assert_eq!(read(r#"{"command":"get","job":"*"}"#), field("job"));
    assert_eq!(read(r#"{"command":"get","job":"a","parts":[1]}"#), field("k"));
    assert_eq!(read(r#"{"command":"get","job":"a","k":0,"parts":[[5,3]]}"#), field("parts"));
    assert_eq!(read(r#"{"command":"list","what":"cats"}"#), field("what"));
    assert_eq!(read(r#"{"command":"list","what":"jobs","limit":0}"#), field("limit"));
    assert_eq!(read(r#"{"command":"dance"}"#), field("command"));
    assert_eq!(read(r#"{"command":"repeat","v":2}"#), Err((Code::UnsupportedVersion, Some("v".to_owned()))));
}

#[test]
fn an_administrator_has_words_of_his_own() {
    let order = Admin::parse(br#"{"id":"m1","command":"drain"}"#, false, 100);
    assert_eq!(order, Ok(Order { id: Some("m1".into()), what: Admin::Drain }));
    assert!(Admin::parse(br#"{"command":"cancel","job":"*"}"#, false, 100).is_err());
    assert!(Command::parse(br#"{"command":"pause"}"#, false, 100).is_err());
}
