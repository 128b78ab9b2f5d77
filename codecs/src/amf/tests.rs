//! Both formats: golden vectors, round trips, limits, references.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn amf0_of(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    amf0::encode(value, &mut out);
    out
}

fn amf3_of(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    amf3::encode(value, &mut out);
    out
}

fn decode0(bytes: &[u8]) -> Result<Value, Error> {
    decode_whole(bytes, amf0::decode)
}

fn decode3(bytes: &[u8]) -> Result<Value, Error> {
    decode_whole(bytes, amf3::decode)
}

type Decode = fn(&mut &[u8], &Limits) -> Result<Value, Error>;

fn decode_whole(mut bytes: &[u8], decode: Decode) -> Result<Value, Error> {
    let value = decode(&mut bytes, &Limits::default())?;
    assert!(bytes.is_empty(), "{} bytes behind {value:?}", bytes.len());
    Ok(value)
}

fn object(properties: &[(&str, Value)]) -> Object {
    let own = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
    Object { class: None, properties: properties.iter().map(own).collect() }
}

/// Laid out by hand from the tables of AMF0 2.2 to 2.18; the numbers are 1.0 and 0.5 in IEEE 754.
#[test]
fn amf0_values_read_and_write_as_the_specification_lays_them_out() {
    let one = [0x3f, 0xf0, 0, 0, 0, 0, 0, 0];
    let with_one = |head: &[u8], tail: &[u8]| [head, &one, tail].concat();
    let golden = [
        (Value::Number(1.0), with_one(&[0], &[])),
        (Value::Boolean(true), vec![1, 1]),
        (Value::Boolean(false), vec![1, 0]),
        (Value::from("abc"), b"\x02\x00\x03abc".to_vec()),
        (Value::from("\u{fc}"), b"\x02\x00\x02\xc3\xbc".to_vec()),
        (Value::from(object(&[])), vec![3, 0, 0, 9]),
        (Value::from(object(&[("a", Value::Number(1.0))])), {
            with_one(b"\x03\x00\x01a\x00", &[0, 0, 9])
        }),
        (Value::Null, vec![5]),
        (Value::Undefined, vec![6]),
        (
            Value::EcmaArray(object(&[("a", Value::Null)])),
            b"\x08\0\0\0\x01\0\x01a\x05\0\0\x09".into(),
        ),
        (
            Value::StrictArray(vec![Value::Null, Value::Boolean(true)]),
            vec![10, 0, 0, 0, 2, 5, 1, 1],
        ),
        (Value::Date { ms: 1.0, time_zone: -60 }, with_one(&[11], &[0xff, 0xc4])),
        (Value::Unsupported, vec![13]),
        (Value::Xml("<a/>".to_owned()), b"\x0f\0\0\0\x04<a/>".to_vec()),
        (
            Value::Object(Object { class: Some("C".to_owned()), ..object(&[("a", Value::Null)]) }),
            b"\x10\0\x01C\0\x01a\x05\0\0\x09".to_vec(),
        ),
    ];
    for (value, bytes) in golden {
        assert_eq!(amf0_of(&value), bytes, "{value:?}");
        assert_eq!(decode0(&bytes), Ok(value));
    }
}

/// Laid out by hand from AMF3 3.2 to 3.16; the integers are the edges of 1.3.1.
#[test]
fn amf3_values_read_and_write_as_the_specification_lays_them_out() {
    let one = [0x3f, 0xf0, 0, 0, 0, 0, 0, 0];
    let with_one = |head: &[u8], tail: &[u8]| [head, &one, tail].concat();
    let golden = [
        (Value::Undefined, vec![0]),
        (Value::Null, vec![1]),
        (Value::Boolean(false), vec![2]),
        (Value::Boolean(true), vec![3]),
        (Value::Integer(0x7f), vec![4, 0x7f]),
        (Value::Integer(0x80), vec![4, 0x81, 0]),
        (Value::Integer(0x3fff), vec![4, 0xff, 0x7f]),
        (Value::Integer(0x4000), vec![4, 0x81, 0x80, 0]),
        (Value::Integer(0x1f_ffff), vec![4, 0xff, 0xff, 0x7f]),
        (Value::Integer(0x20_0000), vec![4, 0x80, 0xc0, 0x80, 0]),
        (Value::Integer((1 << 28) - 1), vec![4, 0xbf, 0xff, 0xff, 0xff]),
        (Value::Integer(-(1 << 28)), vec![4, 0xc0, 0x80, 0x80, 0]),
        (Value::Integer(-1), vec![4, 0xff, 0xff, 0xff, 0xff]),
        (Value::Number(1.0), with_one(&[5], &[])),
        (Value::from(""), vec![6, 1]),
        (Value::from("abc"), b"\x06\x07abc".to_vec()),
        (Value::Date { ms: 1.0, time_zone: 0 }, with_one(&[8, 1], &[])),
        (Value::StrictArray(vec![Value::Null, Value::Undefined]), vec![9, 5, 1, 1, 0]),
        (Value::EcmaArray(object(&[("a", Value::Null)])), b"\x09\x01\x03a\x01\x01".to_vec()),
        (Value::from(object(&[("a", Value::Null)])), b"\x0a\x0b\x01\x03a\x01\x01".to_vec()),
        (Value::Xml("<a/>".to_owned()), b"\x0b\x09<a/>".to_vec()),
        (Value::ByteArray(Bytes::from_static(&[0, 255])), vec![12, 5, 0, 255]),
        (Value::VectorInt { fixed: true, items: vec![-1] }, vec![13, 3, 1, 255, 255, 255, 255]),
        (Value::VectorUint { fixed: false, items: vec![1] }, vec![14, 3, 0, 0, 0, 0, 1]),
        (Value::VectorDouble { fixed: false, items: vec![1.0] }, with_one(&[15, 3, 0], &[])),
        (
            Value::VectorObject { fixed: false, class: "C".to_owned(), items: vec![Value::Null] },
            b"\x10\x03\x00\x03C\x01".to_vec(),
        ),
        (
            Value::Dictionary { weak_keys: true, entries: vec![(Value::Null, Value::from("a"))] },
            b"\x11\x03\x01\x01\x06\x03a".to_vec(),
        ),
    ];
    for (value, bytes) in golden {
        assert_eq!(amf3_of(&value), bytes, "{value:?}");
        assert_eq!(decode3(&bytes), Ok(value));
    }
}

/// Laid out by hand: `createStream` as every client sends it (Adobe RTMP 1.0, 7.2.1.3).
#[test]
fn several_values_of_a_message_are_read_in_order() {
    let mut bytes = b"\x02\x00\x0ccreateStream\x00".to_vec();
    bytes.extend(4f64.to_be_bytes());
    bytes.push(5);
    let expected = vec![Value::from("createStream"), Value::Number(4.0), Value::Null];
    assert_eq!(amf0::decode_all(&bytes, &Limits::default()), Ok(expected));
}

#[test]
fn text_longer_than_64_kib_is_written_as_long_text() {
    for length in [65_535, 65_536] {
        let value = Value::String("x".repeat(length));
        let bytes = amf0_of(&value);
        assert_eq!(bytes.first(), Some(if length > 65_535 { &0x0c } else { &0x02 }));
        assert_eq!(decode0(&bytes), Ok(value));
    }
}

#[test]
fn property_name_longer_than_64_kib_is_cut_at_a_character() {
    let name = format!("x{}", "\u{fc}".repeat(40_000));
    let Ok(Value::Object(read)) = decode0(&amf0_of(&object(&[(&name, Value::Null)]).into())) else {
        panic!("an object is read")
    };
    assert_eq!(read.properties[0].0.len(), 65_535);
}

#[test]
fn text_in_an_old_code_page_is_repaired_and_not_refused() {
    assert_eq!(decode0(b"\x02\x00\x02\xfcb"), Ok(Value::from("\u{fffd}b")));
}

#[test]
fn ecma_array_count_is_not_believed() {
    for count in [0, 2, u32::MAX] {
        let mut bytes = vec![8];
        bytes.extend(count.to_be_bytes());
        bytes.extend(b"\0\x01a\x05\0\0\x09");
        assert_eq!(decode0(&bytes), Ok(Value::EcmaArray(object(&[("a", Value::Null)]))), "{count}");
    }
}

#[test]
fn ecma_array_may_end_with_the_message_and_an_object_may_not() {
    let array = b"\x08\0\0\0\x01\0\x01a\x05";
    assert_eq!(decode0(array), Ok(Value::EcmaArray(object(&[("a", Value::Null)]))));
    assert!(decode0(b"\x03\0\x01a\x05").is_err());
    assert!(decode0(b"\x03\0\x01b\x08\0\0\0\x01\0\x01a\x05").is_err());
}

#[test]
fn counts_and_lengths_that_lie_are_refused_without_memory() {
    for bytes in [
        &[0x0a, 0xff, 0xff, 0xff, 0xff][..],
        &[0x0c, 0xff, 0xff, 0xff, 0xff],
        &[0x0f, 0xff, 0xff, 0xff, 0xff],
        &[0x02, 0xff, 0xff],
    ] {
        assert!(matches!(decode0(bytes), Err(Error::Malformed { .. })), "{bytes:?}");
    }
    for marker in 0x06..=0x11 {
        let bytes = [marker, 0xff, 0xff, 0xff, 0xff, 0, 1, 1];
        assert!(decode3(&bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn nesting_is_limited_in_each_kind_of_container() {
    let deep = |open: &[u8]| open.repeat(10_000);
    let limit = Err(Error::LimitExceeded { limit: "depth_max", max: 32 });
    assert_eq!(decode0(&deep(b"\x03\0\x01a")), limit, "objects");
    assert_eq!(decode0(&deep(b"\x10\0\x01C\0\x01a")), limit, "typed objects");
    assert_eq!(decode0(&deep(b"\x08\0\0\0\x01\0\x01a")), limit, "ECMA arrays");
    assert_eq!(decode0(&deep(b"\x0a\0\0\0\x01")), limit, "strict arrays");
    assert_eq!(decode3(&deep(b"\x09\x03\x01")), limit, "arrays");
    assert_eq!(decode3(&deep(b"\x09\x01\x03a")), limit, "associative arrays");
    assert_eq!(decode3(&deep(b"\x0a\x0b\x01\x03a")), limit, "AMF3 objects");
    assert_eq!(decode3(&deep(b"\x11\x03\x00")), limit, "dictionaries");
    assert_eq!(decode3(&deep(b"\x10\x03\x00\x01")), limit, "vectors");
    let wrapper = b"\x0a\x07\x43flex.messaging.io.ArrayCollection";
    assert_eq!(decode3(&deep(wrapper)), limit, "wrappers");
}

#[test]
fn depth_limit_is_inclusive() {
    let limits = Limits { depth_max: 2, ..Limits::default() };
    let nested = |depth: usize| [b"\x0a\0\0\0\x01".repeat(depth), vec![5]].concat();
    assert!(amf0::decode(&mut &nested(2)[..], &limits).is_ok());
    assert!(amf0::decode(&mut &nested(3)[..], &limits).is_err());
}

#[test]
fn number_of_values_and_bytes_of_text_are_limited_for_the_whole_message() {
    let limits = Limits { values_max: 3, bytes_max: 4, ..Limits::default() };
    assert!(amf0::decode_all(&[5, 5, 5], &limits).is_ok());
    let error = amf0::decode_all(&[5, 5, 5, 5], &limits);
    assert_eq!(error, Err(Error::LimitExceeded { limit: "values_max", max: 3 }));
    assert!(amf0::decode_all(b"\x02\0\x02ab\x02\0\x02cd", &limits).is_ok());
    let error = amf0::decode_all(b"\x02\0\x02ab\x02\0\x03cde", &limits);
    assert_eq!(error, Err(Error::LimitExceeded { limit: "bytes_max", max: 4 }));
}

#[test]
fn failed_decode_leaves_the_input_where_it_was() {
    let bytes = [0x0a, 0, 0, 0, 2, 5];
    let mut input = &bytes[..];
    assert!(amf0::decode(&mut input, &Limits::default()).is_err());
    assert_eq!(input, bytes);
}

#[test]
fn amf0_reference_repeats_the_value_it_names() {
    // {a: {b: null}, c: reference 1, d: reference 1}
    let bytes = b"\x03\0\x01a\x03\0\x01b\x05\0\0\x09\0\x01c\x07\0\x01\0\x01d\x07\0\x01\0\0\x09";
    let inner = Value::from(object(&[("b", Value::Null)]));
    let expected = object(&[("a", inner.clone()), ("c", inner.clone()), ("d", inner)]);
    assert_eq!(decode0(bytes), Ok(expected.into()));
}

#[test]
fn amf0_reference_inside_a_repeated_value_keeps_its_number() {
    // [[], [reference 1], reference 2, [true], reference 3]
    let bytes = b"\x0a\0\0\0\x05\x0a\0\0\0\0\x0a\0\0\0\x01\x07\0\x01\x07\0\x02\x0a\0\0\0\x01\x01\x01\x07\0\x03";
    let empty = || Value::StrictArray(vec![]);
    let holder = || Value::StrictArray(vec![empty()]);
    let last = || Value::StrictArray(vec![Value::Boolean(true)]);
    let expected = Value::StrictArray(vec![empty(), holder(), holder(), last(), last()]);
    assert_eq!(decode0(bytes), Ok(expected));
}

#[test]
fn reference_to_an_enclosing_value_is_a_cycle_and_not_followed() {
    assert_eq!(
        decode0(b"\x03\0\x01a\x07\0\0\0\0\x09"),
        Ok(Value::from(object(&[("a", Value::Cycle)])))
    );
    assert_eq!(
        decode3(b"\x0a\x0b\x01\x03a\x0a\x00\x01"),
        Ok(Value::from(object(&[("a", Value::Cycle)])))
    );
    // [{a: reference 1}, reference 1]: the cycle is inside a value that is read a second time.
    let holder = || Value::from(object(&[("a", Value::Cycle)]));
    assert_eq!(
        decode0(b"\x0a\0\0\0\x02\x03\0\x01a\x07\0\x01\0\0\x09\x07\0\x01"),
        Ok(Value::StrictArray(vec![holder(), holder()]))
    );
    assert_eq!(
        decode3(b"\x09\x05\x01\x0a\x0b\x01\x03a\x0a\x02\x01\x0a\x02"),
        Ok(Value::StrictArray(vec![holder(), holder()]))
    );
}

#[test]
fn reference_to_nothing_is_malformed() {
    for bytes in [&[7, 0, 0][..], &[0x0a, 0, 0, 0, 1, 7, 0, 1]] {
        assert!(matches!(decode0(bytes), Err(Error::Malformed { .. })), "{bytes:?}");
    }
    for bytes in [&[0x0a, 0][..], &[6, 0], &[0x0a, 1], &[9, 0], &[0x0c, 2]] {
        assert!(matches!(decode3(bytes), Err(Error::Malformed { .. })), "{bytes:?}");
    }
}

#[test]
fn references_that_multiply_stop_at_the_limit() {
    // Each array holds the one before it twice: 2^40 values in 400 bytes.
    let mut amf0_bomb = vec![0x0a, 0, 0, 0, 0];
    let mut amf3_bomb = vec![9, 1, 1];
    for level in 0..40 {
        amf0_bomb.extend([0x0a, 0, 0, 0, 2, 7, 0, level, 7, 0, level]);
        amf3_bomb.extend([9, 5, 1, 9, level * 2, 9, level * 2]);
    }
    for result in [
        amf0::decode_all(&amf0_bomb, &Limits::default()),
        amf3::decode_all(&amf3_bomb, &Limits::default()),
    ] {
        assert!(matches!(result, Err(Error::LimitExceeded { .. })), "{result:?}");
    }
}

#[test]
fn text_references_count_their_bytes() {
    let text = "x".repeat(1000);
    let mut bytes = amf3_of(&Value::String(text));
    bytes.extend([6, 0].repeat(2000));
    let error = amf3::decode_all(&bytes, &Limits::default());
    assert_eq!(error, Err(Error::LimitExceeded { limit: "bytes_max", max: 1 << 20 }));
}

#[test]
fn traits_with_more_members_than_bytes_are_refused() {
    // An object with 2^25 - 1 sealed members.
    assert!(decode3(&[0x0a, 0xbf, 0xff, 0xff, 0xf3, 1]).is_err());
    let mut many = vec![0x0a, 0xbf, 0xff, 0xff, 0xf3, 1];
    many.extend([1].repeat(20_000));
    assert_eq!(decode3(&many), Err(Error::LimitExceeded { limit: "values_max", max: 10_000 }));
}

#[test]
fn amf3_text_object_and_traits_references_are_resolved() {
    // [C{a: "t"} sealed, C with the same traits {a: reference to "t"}, reference to the first]
    let bytes = b"\x09\x07\x01\x0a\x13\x03C\x03a\x06\x03t\x0a\x01\x06\x04\x0a\x02";
    let typed = Object { class: Some("C".to_owned()), ..object(&[("a", Value::from("t"))]) };
    let typed = Value::Object(typed);
    assert_eq!(decode3(bytes), Ok(Value::StrictArray(vec![typed.clone(), typed.clone(), typed])));
}

#[test]
fn amf3_sealed_and_dynamic_members_follow_each_other() {
    // Traits: one sealed member a, dynamic; then the dynamic member b.
    let bytes = b"\x0a\x1b\x01\x03a\x01\x03b\x00\x01";
    let expected = object(&[("a", Value::Null), ("b", Value::Undefined)]);
    assert_eq!(decode3(bytes), Ok(expected.into()));
}

#[test]
fn amf3_dense_part_follows_the_associative_part_by_number() {
    let bytes = b"\x09\x05\x03a\x01\x01\x03\x02";
    let [truth, lie] = [Value::Boolean(true), Value::Boolean(false)];
    let expected = object(&[("a", Value::Null), ("0", truth), ("1", lie)]);
    assert_eq!(decode3(bytes), Ok(Value::EcmaArray(expected)));
}

#[test]
fn flex_collections_are_read_and_other_externalizable_objects_refused() {
    let class = "flex.messaging.io.ArrayCollection";
    let mut bytes = vec![0x0a, 7, 0x43];
    bytes.extend(class.bytes());
    bytes.extend([9, 3, 1, 3]);
    let items = Value::StrictArray(vec![Value::Boolean(true)]);
    let collection = Object { class: Some(class.to_owned()), ..object(&[("source", items)]) };
    let collection = Value::Object(collection);
    assert_eq!(decode3(&bytes), Ok(collection.clone()));
    assert_eq!(amf3_of(&collection), bytes);
    assert!(matches!(decode3(b"\x0a\x07\x03X\x01"), Err(Error::Unsupported(_))));
}

#[test]
fn amf3_inside_amf0_keeps_its_tables_through_the_message() {
    // A text in AMF3, then a reference to it behind a second switch.
    let bytes = b"\x11\x06\x03a\x11\x06\x00";
    let expected = vec![Value::from("a"), Value::from("a")];
    assert_eq!(amf0::decode_all(bytes, &Limits::default()), Ok(expected));
}

#[test]
fn amf0_reference_to_a_value_with_amf3_inside_leaves_the_tables_as_they_are() {
    // [[AMF3 "a"], reference 1, AMF3 "b", AMF3 reference to "b"]
    let bytes = b"\x0a\0\0\0\x04\x0a\0\0\0\x01\x11\x06\x03a\x07\0\x01\x11\x06\x03b\x11\x06\x02";
    let holder = || Value::StrictArray(vec![Value::from("a")]);
    let expected = Value::StrictArray(vec![holder(), holder(), Value::from("b"), Value::from("b")]);
    assert_eq!(decode0(bytes), Ok(expected));
}

#[test]
fn what_one_format_lacks_is_written_in_its_nearest_form() {
    let bytes = Value::ByteArray(Bytes::from_static(b"x"));
    assert_eq!(decode0(&amf0_of(&bytes)), Ok(bytes));
    assert_eq!(decode0(&amf0_of(&Value::Integer(-3))), Ok(Value::Number(-3.0)));
    assert_eq!(decode0(&amf0_of(&Value::Cycle)), Ok(Value::Null));
    assert_eq!(decode3(&amf3_of(&Value::Unsupported)), Ok(Value::Undefined));
    for large in [1 << 28, -(1 << 28) - 1, i32::MAX, i32::MIN] {
        assert_eq!(decode3(&amf3_of(&Value::Integer(large))), Ok(Value::Number(large.into())));
    }
}

#[test]
fn empty_property_name_survives_in_an_object() {
    let value = Value::from(object(&[("", Value::Null), ("a", Value::Undefined)]));
    assert_eq!(decode0(&amf0_of(&value)), Ok(value.clone()));
    assert_eq!(decode3(&amf3_of(&value)), Ok(value));
}

#[test]
fn reserved_and_unknown_markers_are_told_apart() {
    for marker in [0x04, 0x0e] {
        assert!(matches!(decode0(&[marker]), Err(Error::Unsupported(_))));
    }
    for marker in [0x09, 0x12, 0xff] {
        assert!(matches!(decode0(&[marker]), Err(Error::Malformed { .. })));
    }
    assert!(matches!(decode3(&[0x12]), Err(Error::Malformed { .. })));
}

#[test]
fn last_of_two_properties_with_one_name_is_found() {
    let both = object(&[("a", Value::from(1.0)), ("a", Value::from(2.0))]);
    assert_eq!(both.get("a"), Some(&Value::Number(2.0)));
    assert_eq!(both.get("b"), None);
}

/// Values that both formats hold without change.
fn any_value() -> impl Strategy<Value = Value> {
    let number = any::<f64>().prop_filter("NaN is unequal to itself", |number| !number.is_nan());
    let scalar = prop_oneof![
        number.clone().prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,20}".prop_map(Value::String),
        ".{0,20}".prop_map(Value::Xml),
        Just(Value::Null),
        Just(Value::Undefined),
        number.clone().prop_map(|ms| Value::Date { ms, time_zone: 0 }),
        any::<Vec<u8>>().prop_map(|bytes| Value::ByteArray(bytes.into())),
        any::<(bool, Vec<i32>)>().prop_map(|(fixed, items)| Value::VectorInt { fixed, items }),
        any::<(bool, Vec<u32>)>().prop_map(|(fixed, items)| Value::VectorUint { fixed, items }),
        (any::<bool>(), prop::collection::vec(number, 0..9))
            .prop_map(|(fixed, items)| Value::VectorDouble { fixed, items }),
    ];
    scalar.prop_recursive(4, 64, 8, |inner| {
        let class = prop::option::of("[a-z]{1,8}");
        let named =
            |names: &'static str, least| prop::collection::vec((names, inner.clone()), least..8);
        prop_oneof![
            (class, named("[a-z]{0,8}", 0))
                .prop_map(|(class, properties)| Value::Object(Object { class, properties })),
            named("[a-z]{1,8}", 1)
                .prop_map(|properties| Value::EcmaArray(Object { class: None, properties })),
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::StrictArray),
            (any::<bool>(), "[a-z]{0,8}", prop::collection::vec(inner.clone(), 0..8))
                .prop_map(|(fixed, class, items)| Value::VectorObject { fixed, class, items }),
            (any::<bool>(), prop::collection::vec((inner.clone(), inner.clone()), 0..4))
                .prop_map(|(weak_keys, entries)| Value::Dictionary { weak_keys, entries }),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_survives_amf0(value in any_value()) {
        prop_assert_eq!(decode0(&amf0_of(&value)), Ok(value));
    }

    #[test]
    fn any_value_survives_amf3(value in any_value()) {
        prop_assert_eq!(decode3(&amf3_of(&value)), Ok(value));
    }

    #[test]
    fn any_value_cut_anywhere_is_an_error(value in any_value(), cut in any::<prop::sample::Index>()) {
        let bytes = amf3_of(&value);
        let cut = bytes.get(..cut.index(bytes.len())).unwrap_or_default();
        let result = decode3(cut);
        prop_assert!(matches!(result, Err(Error::Malformed { .. })), "{:?}", result);
    }

    #[test]
    fn no_input_makes_a_decoder_panic(bytes in any::<Vec<u8>>()) {
        let _ = amf0::decode_all(&bytes, &Limits::default());
        let _ = amf3::decode_all(&bytes, &Limits::default());
    }
}
