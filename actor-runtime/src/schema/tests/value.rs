//! A value of any type, decoded and encoded by the schema alone: an interpreter that shares nothing with serde.

use super::super::{Fields, Schema};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bits(u128),
    Bytes(Vec<u8>),
    Option(Option<Box<Self>>),
    List(Vec<Self>),
    Variant(u32, Vec<Self>),
}

/// Decodes one value and checks that nothing is left.
pub(super) fn decode(schema: &Schema, bytes: &[u8]) -> Option<Value> {
    let mut rest = bytes;
    let value = read(schema, &mut Vec::new(), &mut rest)?;
    rest.is_empty().then_some(value)
}

pub(super) fn encode(schema: &Schema, value: &Value) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    write(schema, &mut Vec::new(), value, &mut bytes)?;
    Some(bytes)
}

/// The enclosing structs and enums, from the outside in.
type Enclosing<'s> = Vec<&'s Schema>;

fn read<'s>(schema: &'s Schema, enclosing: &mut Enclosing<'s>, rest: &mut &[u8]) -> Option<Value> {
    Some(match schema {
        Schema::Bool => Value::Bits(Some(take(rest, 1)?[0]).filter(|byte| *byte < 2)?.into()),
        Schema::U8 | Schema::I8 => Value::Bits(take(rest, 1)?[0].into()),
        Schema::U16 | Schema::U32 | Schema::U64 | Schema::U128 => Value::Bits(varint(rest)?),
        Schema::I16 | Schema::I32 | Schema::I64 | Schema::I128 => Value::Bits(varint(rest)?),
        Schema::F32 => Value::Bytes(take(rest, 4)?.to_vec()),
        Schema::F64 => Value::Bytes(take(rest, 8)?.to_vec()),
        Schema::Char | Schema::String => {
            let length = varint(rest)? as usize;
            Value::Bytes(std::str::from_utf8(take(rest, length)?).ok()?.as_bytes().to_vec())
        }
        Schema::Bytes => {
            let length = varint(rest)? as usize;
            Value::Bytes(take(rest, length)?.to_vec())
        }
        Schema::Unit => Value::List(Vec::new()),
        Schema::Option(inner) => match take(rest, 1)?[0] {
            0 => Value::Option(None),
            1 => Value::Option(Some(Box::new(read(inner, enclosing, rest)?))),
            _ => return None,
        },
        Schema::Sequence(element) => {
            let length = varint(rest)?;
            Value::List((0..length).map(|_| read(element, enclosing, rest)).collect::<Option<_>>()?)
        }
        Schema::Map { key, value } => {
            let length = varint(rest)?;
            let mut entries = Vec::new();
            for _ in 0..length {
                entries.push(read(key, enclosing, rest)?);
                entries.push(read(value, enclosing, rest)?);
            }
            Value::List(entries)
        }
        Schema::Array { element, length } => {
            Value::List((0..*length).map(|_| read(element, enclosing, rest)).collect::<Option<_>>()?)
        }
        Schema::Tuple(elements) => {
            Value::List(elements.iter().map(|element| read(element, enclosing, rest)).collect::<Option<_>>()?)
        }
        Schema::Struct { fields, .. } => Value::List(read_fields(schema, fields, enclosing, rest)?),
        Schema::Enum { variants, .. } => {
            let index = varint(rest)? as u32;
            let variant = variants.iter().find(|variant| variant.index == index)?;
            Value::Variant(index, read_fields(schema, &variant.fields, enclosing, rest)?)
        }
        Schema::Recursion { levels, name } => {
            let mut outer = enclosing[..enclosing.len() - levels].to_vec();
            let target = outer.pop()?;
            let (Schema::Struct { name: found, .. } | Schema::Enum { name: found, .. }) = target else {
                return None;
            };
            assert_eq!(name, found);
            read(target, &mut outer, rest)?
        }
        Schema::Stream(_) | Schema::Opaque { .. } => return None,
    })
}

fn read_fields<'s>(
    schema: &'s Schema,
    fields: &'s Fields,
    enclosing: &mut Enclosing<'s>,
    rest: &mut &[u8],
) -> Option<Vec<Value>> {
    enclosing.push(schema);
    let values = fields.parts().map(|part| read(part, enclosing, rest)).collect();
    enclosing.pop();
    values
}

fn write<'s>(
    schema: &'s Schema,
    enclosing: &mut Enclosing<'s>,
    value: &Value,
    bytes: &mut Vec<u8>,
) -> Option<()> {
    match (schema, value) {
        (Schema::Bool | Schema::U8 | Schema::I8, Value::Bits(bits)) => bytes.push(*bits as u8),
        (_, Value::Bits(bits)) => write_varint(*bits, bytes),
        (Schema::F32 | Schema::F64, Value::Bytes(raw)) => bytes.extend(raw),
        (_, Value::Bytes(raw)) => {
            write_varint(raw.len() as u128, bytes);
            bytes.extend(raw);
        }
        (Schema::Option(inner), Value::Option(value)) => {
            bytes.push(value.is_some().into());
            value.iter().try_for_each(|value| write(inner, enclosing, value, bytes))?;
        }
        (Schema::Sequence(element), Value::List(values)) => {
            write_varint(values.len() as u128, bytes);
            values.iter().try_for_each(|value| write(element, enclosing, value, bytes))?;
        }
        (Schema::Map { key, value }, Value::List(values)) => {
            write_varint(values.len() as u128 / 2, bytes);
            for pair in values.chunks(2) {
                write(key, enclosing, &pair[0], bytes)?;
                write(value, enclosing, &pair[1], bytes)?;
            }
        }
        (Schema::Array { element, .. }, Value::List(values)) => {
            values.iter().try_for_each(|value| write(element, enclosing, value, bytes))?;
        }
        (Schema::Tuple(elements), Value::List(values)) => {
            elements.iter().zip(values).try_for_each(|(part, value)| write(part, enclosing, value, bytes))?;
        }
        (Schema::Unit, Value::List(_)) => {}
        (Schema::Struct { fields, .. }, Value::List(values)) => {
            enclosing.push(schema);
            let mut parts = fields.parts().zip(values);
            parts.try_for_each(|(part, value)| write(part, enclosing, value, bytes))?;
            enclosing.pop();
        }
        (Schema::Enum { variants, .. }, Value::Variant(index, values)) => {
            write_varint((*index).into(), bytes);
            let variant = variants.iter().find(|variant| variant.index == *index)?;
            enclosing.push(schema);
            let mut parts = variant.fields.parts().zip(values);
            parts.try_for_each(|(part, value)| write(part, enclosing, value, bytes))?;
            enclosing.pop();
        }
        (Schema::Recursion { levels, .. }, value) => {
            let mut outer = enclosing[..enclosing.len() - levels].to_vec();
            let target = outer.pop()?;
            write(target, &mut outer, value, bytes)?;
        }
        _ => return None,
    }
    Some(())
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u128> {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u128::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            break;
        }
    }
    Some(value)
}

fn write_varint(mut value: u128, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
