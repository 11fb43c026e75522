//! Values of every shape in serde's data model: how they are written and read.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde::{Deserialize, Serialize};

const NAMES: &[&str] = &["a", "b", "c", "d"];

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Plain(u8),
    Bytes,
    Unit,
    Option(Box<Shape>),
    Newtype(Box<Shape>),
    Seq(Box<Shape>),
    Tuple(Vec<Shape>),
    TupleStruct(Vec<Shape>),
    Map(Box<Shape>, Box<Shape>),
    Struct(Vec<Shape>),
    Enum(Vec<Variant>),
}

#[derive(Clone, Debug)]
pub(crate) enum Variant {
    Unit,
    Newtype(Box<Shape>),
    Tuple(Vec<Shape>),
    Struct(Vec<Shape>),
}

/// A value. A variant has its number and its fields.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Plain(Plain),
    Bytes(Vec<u8>),
    Unit,
    Option(Option<Box<Tree>>),
    Newtype(Box<Tree>),
    Seq(Vec<Tree>),
    Tuple(Vec<Tree>),
    TupleStruct(Vec<Tree>),
    Map(Vec<(Tree, Tree)>),
    Struct(Vec<Tree>),
    UnitVariant(u32),
    NewtypeVariant(u32, Box<Tree>),
    TupleVariant(u32, Vec<Tree>),
    StructVariant(u32, Vec<Tree>),
}

macro_rules! plain {
    ($($number:literal $kind:ident($type:ty) by $random:expr;)+) => {
        #[derive(Clone, Debug)]
        pub(crate) enum Plain {
            $($kind($type),)+
        }

        impl Plain {
            const KINDS: u8 = [$($number),+].len() as u8;

            fn random(number: u8, rng: &mut fastrand::Rng) -> Self {
                match number {
                    $($number => {
                        let random: fn(&mut fastrand::Rng) -> $type = $random;
                        Self::$kind(random(rng))
                    })+
                    _ => unreachable!(),
                }
            }

            fn read<'de, D: Deserializer<'de>>(number: u8, deserializer: D) -> Result<Self, D::Error> {
                match number {
                    $($number => <$type>::deserialize(deserializer).map(Self::$kind),)+
                    _ => unreachable!(),
                }
            }
        }

        impl Serialize for Plain {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$kind(value) => value.serialize(serializer),)+
                }
            }
        }
    };
}

plain! {
    0 Bool(bool) by |rng| rng.bool();
    1 I8(i8) by |rng| rng.i8(..);
    2 I16(i16) by |rng| rng.i16(..);
    3 I32(i32) by |rng| rng.i32(..);
    4 I64(i64) by |rng| rng.i64(..) >> rng.u8(..64);
    5 I128(i128) by |rng| rng.i128(..) >> rng.u8(40..127);
    6 U8(u8) by |rng| rng.u8(..);
    7 U16(u16) by |rng| rng.u16(..);
    8 U32(u32) by |rng| rng.u32(..);
    9 U64(u64) by |rng| rng.u64(..) >> rng.u8(..64);
    10 U128(u128) by |rng| rng.u128(..) >> rng.u8(40..127);
    11 F32(f32) by |rng| f32::from_bits(rng.u32(..));
    12 F64(f64) by |rng| if rng.u8(..) < 16 { f64::INFINITY } else { f64::from_bits(rng.u64(..)) };
    13 Char(char) by |rng| rng.char(..);
    14 Text(String) by |rng| (0..rng.usize(..12)).map(|_| rng.char(..)).collect();
}

impl Shape {
    pub(crate) fn random(rng: &mut fastrand::Rng, depth: u32) -> Self {
        let shape = |rng: &mut fastrand::Rng| Box::new(Self::random(rng, depth - 1));
        let some = |rng: &mut fastrand::Rng| {
            (0..rng.usize(..=NAMES.len())).map(|_| Self::random(rng, depth - 1)).collect()
        };
        match if depth == 0 { 0 } else { rng.u8(..14) } {
            0..=3 => match rng.u8(..Plain::KINDS + 2) {
                15 => Self::Bytes,
                16 => Self::Unit,
                number => Self::Plain(number),
            },
            4..=5 => Self::Option(shape(rng)),
            6 => Self::Newtype(shape(rng)),
            7 => Self::Seq(shape(rng)),
            8 => Self::Tuple(some(rng)),
            9 => Self::TupleStruct(some(rng)),
            10 => {
                let key =
                    if rng.u8(..8) > 0 { Box::new(Self::Plain(rng.u8(..Plain::KINDS))) } else { shape(rng) };
                Self::Map(key, shape(rng))
            }
            11..=12 => Self::Struct(some(rng)),
            _ => {
                let variant = |rng: &mut fastrand::Rng| match rng.u8(..4) {
                    0 => Variant::Unit,
                    1 => Variant::Newtype(shape(rng)),
                    2 => Variant::Tuple(some(rng)),
                    _ => Variant::Struct(some(rng)),
                };
                Self::Enum((0..rng.usize(1..=NAMES.len())).map(|_| variant(rng)).collect())
            }
        }
    }

    pub(crate) fn value(&self, rng: &mut fastrand::Rng) -> Tree {
        let all =
            |shapes: &[Self], rng: &mut fastrand::Rng| shapes.iter().map(|shape| shape.value(rng)).collect();
        match self {
            Self::Plain(number) => Tree::Plain(Plain::random(*number, rng)),
            Self::Bytes => Tree::Bytes((0..rng.usize(..5)).map(|_| rng.u8(..)).collect()),
            Self::Unit => Tree::Unit,
            Self::Option(shape) => Tree::Option(rng.bool().then(|| Box::new(shape.value(rng)))),
            Self::Newtype(shape) => Tree::Newtype(Box::new(shape.value(rng))),
            Self::Seq(shape) => Tree::Seq((0..rng.usize(..4)).map(|_| shape.value(rng)).collect()),
            Self::Tuple(shapes) => Tree::Tuple(all(shapes, rng)),
            Self::TupleStruct(shapes) => Tree::TupleStruct(all(shapes, rng)),
            Self::Map(key, value) => {
                Tree::Map((0..rng.usize(..4)).map(|_| (key.value(rng), value.value(rng))).collect())
            }
            Self::Struct(shapes) => Tree::Struct(all(shapes, rng)),
            Self::Enum(variants) => {
                let number = rng.usize(..variants.len());
                let place = u32::try_from(number).unwrap();
                match &variants[number] {
                    Variant::Unit => Tree::UnitVariant(place),
                    Variant::Newtype(shape) => Tree::NewtypeVariant(place, Box::new(shape.value(rng))),
                    Variant::Tuple(shapes) => Tree::TupleVariant(place, all(shapes, rng)),
                    Variant::Struct(shapes) => Tree::StructVariant(place, all(shapes, rng)),
                }
            }
        }
    }
}

impl Tree {
    /// The exact contents. A map has no order.
    pub(crate) fn shown(&self) -> String {
        let all = |trees: &[Self]| trees.iter().map(Self::shown).collect::<Vec<_>>().join(",");
        match self {
            Self::Plain(Plain::F32(value)) => format!("{:x}f32", value.to_bits()),
            Self::Plain(Plain::F64(value)) => format!("{:x}f64", value.to_bits()),
            Self::Plain(value) => format!("{value:?}"),
            Self::Bytes(_) | Self::Unit | Self::UnitVariant(_) | Self::Option(None) => format!("{self:?}"),
            Self::Option(Some(value)) => format!("some {}", value.shown()),
            Self::Newtype(value) => format!("new {}", value.shown()),
            Self::NewtypeVariant(place, value) => format!("{place} {}", value.shown()),
            Self::Seq(values) => format!("[{}]", all(values)),
            Self::Tuple(values) | Self::TupleStruct(values) | Self::Struct(values) => {
                format!("({})", all(values))
            }
            Self::TupleVariant(place, values) | Self::StructVariant(place, values) => {
                format!("{place}({})", all(values))
            }
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| format!("{}: {}", key.shown(), value.shown()))
                    .collect();
                entries.sort();
                format!("{{{}}}", entries.join(","))
            }
        }
    }
}

macro_rules! each {
    ($serializer:expr, $method:ident, $values:expr) => {{
        let mut parts = $serializer;
        for value in $values {
            parts.$method(value)?;
        }
        parts.end()
    }};
}

macro_rules! each_field {
    ($serializer:expr, $values:expr) => {{
        let mut parts = $serializer;
        for (name, value) in NAMES.iter().zip($values) {
            parts.serialize_field(name, value)?;
        }
        parts.end()
    }};
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = |place: &u32| NAMES[*place as usize];
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Unit => serializer.serialize_unit(),
            Self::Option(None) => serializer.serialize_none(),
            Self::Option(Some(value)) => serializer.serialize_some(value),
            Self::Newtype(value) => serializer.serialize_newtype_struct("N", value),
            Self::Seq(values) => {
                each!(serializer.serialize_seq(Some(values.len()))?, serialize_element, values)
            }
            Self::Tuple(values) => {
                each!(serializer.serialize_tuple(values.len())?, serialize_element, values)
            }
            Self::TupleStruct(values) => {
                each!(serializer.serialize_tuple_struct("T", values.len())?, serialize_field, values)
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::Struct(values) => each_field!(serializer.serialize_struct("S", values.len())?, values),
            Self::UnitVariant(place) => serializer.serialize_unit_variant("E", *place, name(place)),
            Self::NewtypeVariant(place, value) => {
                serializer.serialize_newtype_variant("E", *place, name(place), value)
            }
            Self::TupleVariant(place, values) => each!(
                serializer.serialize_tuple_variant("E", *place, name(place), values.len())?,
                serialize_field,
                values
            ),
            Self::StructVariant(place, values) => {
                each_field!(
                    serializer.serialize_struct_variant("E", *place, name(place), values.len())?,
                    values
                )
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for &Shape {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        match self {
            Shape::Plain(number) => Plain::read(*number, deserializer).map(Tree::Plain),
            Shape::Bytes => deserializer.deserialize_byte_buf(Read(self)),
            Shape::Unit => deserializer.deserialize_unit(Read(self)),
            Shape::Option(_) => deserializer.deserialize_option(Read(self)),
            Shape::Newtype(_) => deserializer.deserialize_newtype_struct("N", Read(self)),
            Shape::Seq(_) => deserializer.deserialize_seq(Read(self)),
            Shape::Tuple(shapes) => deserializer.deserialize_tuple(shapes.len(), Read(self)),
            Shape::TupleStruct(shapes) => {
                deserializer.deserialize_tuple_struct("T", shapes.len(), Read(self))
            }
            Shape::Map(..) => deserializer.deserialize_map(Read(self)),
            Shape::Struct(shapes) => deserializer.deserialize_struct("S", &NAMES[..shapes.len()], Read(self)),
            Shape::Enum(variants) => deserializer.deserialize_enum("E", &NAMES[..variants.len()], Read(self)),
        }
    }
}

struct Read<'a>(&'a Shape);

/// The fields of a tuple or a struct.
struct Fields<'a>(&'a [Shape]);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Vec<Tree>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fields", self.0.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Tree>, A::Error> {
        let field = |shape| seq.next_element_seed(shape)?.ok_or_else(|| A::Error::custom("too short"));
        self.0.iter().map(field).collect()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Tree>, A::Error> {
        let mut fields: Vec<Option<Tree>> = self.0.iter().map(|_| None).collect();
        while let Some(name) = map.next_key::<String>()? {
            let place = NAMES.iter().position(|known| *known == name).unwrap();
            fields[place] = Some(map.next_value_seed(&self.0[place])?);
        }
        fields.into_iter().map(|field| field.ok_or_else(|| A::Error::custom("missing"))).collect()
    }
}

impl<'de> Visitor<'de> for Read<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Tree, E> {
        Ok(Tree::Bytes(bytes.to_vec()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(if matches!(self.0, Shape::Unit) { Tree::Unit } else { Tree::Option(None) })
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Option(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        let Shape::Option(shape) = self.0 else { unreachable!() };
        Ok(Tree::Option(Some(Box::new(shape.deserialize(deserializer)?))))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        let Shape::Newtype(shape) = self.0 else { unreachable!() };
        Ok(Tree::Newtype(Box::new(shape.deserialize(deserializer)?)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        match self.0 {
            Shape::Seq(shape) => {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element_seed(&**shape)? {
                    values.push(value);
                }
                Ok(Tree::Seq(values))
            }
            Shape::Bytes => {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Tree::Bytes(bytes))
            }
            Shape::Tuple(shapes) => Fields(shapes).visit_seq(seq).map(Tree::Tuple),
            Shape::TupleStruct(shapes) => Fields(shapes).visit_seq(seq).map(Tree::TupleStruct),
            Shape::Struct(shapes) => Fields(shapes).visit_seq(seq).map(Tree::Struct),
            other => Err(A::Error::custom(format!("a sequence for {other:?}"))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        match self.0 {
            Shape::Map(key, value) => {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key_seed(&**key)? {
                    entries.push((key, map.next_value_seed(&**value)?));
                }
                Ok(Tree::Map(entries))
            }
            Shape::Struct(shapes) => Fields(shapes).visit_map(map).map(Tree::Struct),
            other => Err(A::Error::custom(format!("a map for {other:?}"))),
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Tree, A::Error> {
        let Shape::Enum(variants) = self.0 else { unreachable!() };
        let (name, access) = data.variant::<String>()?;
        let number = NAMES.iter().position(|known| *known == name).unwrap();
        let place = u32::try_from(number).unwrap();
        match &variants[number] {
            Variant::Unit => access.unit_variant().map(|()| Tree::UnitVariant(place)),
            Variant::Newtype(shape) => {
                let value = access.newtype_variant_seed(&**shape)?;
                Ok(Tree::NewtypeVariant(place, Box::new(value)))
            }
            Variant::Tuple(shapes) => {
                let values = access.tuple_variant(shapes.len(), Fields(shapes))?;
                Ok(Tree::TupleVariant(place, values))
            }
            Variant::Struct(shapes) => {
                let values = access.struct_variant(&NAMES[..shapes.len()], Fields(shapes))?;
                Ok(Tree::StructVariant(place, values))
            }
        }
    }
}

thread_local! {
    /// The shape to read, because a request knows only its type.
    static SHAPE: RefCell<Option<Arc<Shape>>> = const { RefCell::new(None) };
}

/// A request with the shape that was last set on its thread.
#[derive(Clone, Debug)]
pub(crate) struct Any(pub(crate) Tree);

impl Any {
    pub(crate) fn set_shape(shape: Shape) {
        SHAPE.set(Some(Arc::new(shape)));
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shape = SHAPE.with_borrow(Clone::clone).unwrap();
        shape.deserialize(deserializer).map(Self)
    }
}
