//! What is learned, as people see it.

use std::collections::BTreeMap;

use super::super::{Schema, of};
use super::zoo;

fn shown<T: serde::de::DeserializeOwned + 'static>() -> String {
    let schema = of::<T>();
    assert!(schema.is_checked(), "{schema:?}");
    schema.to_string()
}

#[test]
fn types_are_shown_nearly_as_they_are_written() {
    assert_eq!(shown::<zoo::Point>(), "Point { x: f64, y: f64 }");
    assert_eq!(shown::<Vec<u8>>(), "Vec<u8>");
    assert_eq!(shown::<Option<String>>(), "Option<String>");
    assert_eq!(shown::<BTreeMap<String, (u8, [i16; 3])>>(), "Map<String, (u8, [i16; 3])>");
    assert_eq!(shown::<(zoo::Nothing, zoo::Id, zoo::Pair)>(), "(Nothing, Id(u64), Pair(u8, String))");
    assert_eq!(
        shown::<zoo::Shape>(),
        "enum Shape { Unit, Newtype(f64), Tuple(u8, Point { x: f64, y: f64 }), Struct { a: String, b: Vec<u16> } }"
    );
    assert_eq!(shown::<(u8,)>(), "(u8,)");
}

#[test]
fn a_type_is_spelled_out_once_in_a_line() {
    assert_eq!(shown::<(zoo::Point, Vec<zoo::Point>)>(), "(Point { x: f64, y: f64 }, Vec<Point>)");
}

#[test]
fn recursion_refers_to_the_enclosing_type() {
    assert_eq!(shown::<zoo::List>(), "List { value: u32, next: Option<List> }");
    assert_eq!(shown::<zoo::Forest>(), "Forest(Vec<Forest>)");
    assert_eq!(shown::<zoo::There>(), "enum There { Over(enum Back { Again(There), Home }) }");
    assert_eq!(
        shown::<zoo::Expression>(),
        "enum Expression { Add(Expression, Expression), Call { name: String, arguments: Vec<Expression> }, \
         Not(Expression), Given(Map<String, Expression>, enum Statement { Evaluate(Expression), \
         Block(Vec<Statement>), Skip }), Number(i64) }"
    );
    let Schema::Struct { fields, .. } = of::<zoo::List>() else { panic!("a struct") };
    let parts: Vec<_> = fields.parts().cloned().collect();
    let itself = Schema::Recursion { name: "List".into(), levels: 0 };
    assert_eq!(parts, [Schema::U32, Schema::Option(Box::new(itself))]);
}

#[test]
fn instances_of_one_generic_type_are_different_types() {
    assert_eq!(
        shown::<zoo::Twice>(),
        "Twice { outer: Generic { left: Generic { left: u8, right: Option<String> }, \
         right: Option<Generic { left: Point { x: f64, y: f64 }, right: Option<bool> }> } }"
    );
}

#[test]
fn types_that_validate_are_learned_with_other_samples() {
    assert_eq!(
        shown::<zoo::Validated>(),
        "Validated { id: u32, port: u16, even: u32, window: (u32, u32), key: Bytes }"
    );
    assert_eq!(shown::<Vec<zoo::Sixteen>>(), "Vec<Vec<u8>>");
}

#[test]
fn serde_attributes_show_as_they_act() {
    assert_eq!(
        shown::<zoo::Renamed>(),
        "Other { firstName: String, type: u8, extra: Option<u32>, number: String, marker: PhantomData }"
    );
    assert_eq!(shown::<zoo::Transparent>(), "Vec<u8>");
    // Which names are aliases is not to be seen from outside, so both stand there.
    assert_eq!(shown::<zoo::Aliased>(), "Aliased { color|colour: u8, colour|size: u8 }");
    assert_eq!(
        shown::<zoo::AliasedEnum>(),
        "enum AliasedEnum { Color|Colour(u8), Colour|Size { size: u16 }, Size|Unknown }"
    );
    assert_eq!(shown::<zoo::WithOther>(), "enum WithOther { A(u8), B, Rest }");
}

#[test]
fn a_variant_that_the_reader_always_refuses_is_left_out() {
    let Schema::Enum { variants, .. } = of::<std::ffi::OsString>() else { panic!("an enum") };
    assert_eq!(variants.len(), 1);
    assert_eq!(variants[0].name, if cfg!(windows) { "Windows" } else { "Unix" });
}

#[test]
fn a_trace_depends_on_the_type_alone() {
    assert_eq!(of::<zoo::Choices>(), of::<zoo::Choices>());
    assert_eq!(of::<zoo::Validated>(), of::<zoo::Validated>());
}
