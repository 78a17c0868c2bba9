use super::*;

#[test]
fn a_mark_comes_back_whatever_the_roles_are_called() {
    let mark = Mark {
        author: Some(Told::Hidden),
        comment: Some(Told::Forgotten),
        content: Some(Body::Forgotten),
        slots: [("a\"b\n".to_owned(), Body::Hidden), (String::new(), Body::Forgotten)].into(),
    };
    assert_eq!(Mark::from_json(&mark.to_json().unwrap()), Some(mark));
    assert_eq!(Mark::default().to_json(), None);
    assert_eq!(Mark::from_json("{\"author\":\"lost\"}"), None);
}

#[test]
fn only_compact_json_is_an_attribute_of_a_record() {
    assert_eq!(compact(b"{\"a\":[1,2]}").as_deref(), Some("{\"a\":[1,2]}"));
    assert_eq!(compact(b"{ }"), None);
    assert_eq!(compact(b"plain text"), None);
    assert_eq!(compact(b"\xff"), None);
}
