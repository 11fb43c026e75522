//! What a value says to serde, as one number.
//!
//! Two values that say different things have different numbers. The order of elements in sequences and maps is left out:
//! JSON keeps it, and a type such as `HashSet` does not. A tuple is no sequence in this sense.

use std::hash::{Hash, Hasher};

use serde::{Serialize, ser};

use super::{Room, Stop};

/// The name by which `serde_json` knows its `RawValue`. Its spaces may change on the way and nothing else, so that what
/// it says is not compared.
const RAW: &str = "$serde_json::private::RawValue";

pub(super) fn digest<T: Serialize + ?Sized>(value: &T) -> Result<u64, Stop> {
    value.serialize(Digest(Room::ALL))
}

#[derive(Clone, Copy)]
struct Digest(Room);

/// A part of a value that says something by itself: its number tells which.
fn said(what: impl Hash) -> u64 {
    let mut mix = Mix(0);
    what.hash(&mut mix);
    mix.finish()
}

/// A hash of a few words. The standard library's takes ten times as long for a number, and a request has many.
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        // Zeros at the end are something else than the end.
        self.write_u64(bytes.len() as u64);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, word: u64) {
        // Every word changes the number in its own way: no step loses anything.
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The end of SplitMix64 (Steele, Lea, Flood 2014): sums of these differ where their parts do.
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

macro_rules! plain {
    ($($method:ident($kind:ty) = $number:literal;)+) => {$(
        fn $method(self, value: $kind) -> Result<u64, Stop> {
            Ok(said(($number, value)))
        }
    )+};
}

impl ser::Serializer for Digest {
    type Ok = u64;
    type Error = Stop;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    plain! {
        serialize_bool(bool) = 0_u8;
        serialize_i8(i8) = 1_u8;
        serialize_i16(i16) = 2_u8;
        serialize_i32(i32) = 3_u8;
        serialize_i64(i64) = 4_u8;
        serialize_i128(i128) = 5_u8;
        serialize_u8(u8) = 6_u8;
        serialize_u16(u16) = 7_u8;
        serialize_u32(u32) = 8_u8;
        serialize_u64(u64) = 9_u8;
        serialize_u128(u128) = 10_u8;
        serialize_char(char) = 11_u8;
        serialize_str(&str) = 12_u8;
        serialize_bytes(&[u8]) = 13_u8;
        serialize_unit_struct(&'static str) = 14_u8;
    }

    fn serialize_f32(self, value: f32) -> Result<u64, Stop> {
        Ok(said((15_u8, value.to_bits())))
    }

    fn serialize_f64(self, value: f64) -> Result<u64, Stop> {
        Ok(said((16_u8, value.to_bits())))
    }

    fn serialize_none(self) -> Result<u64, Stop> {
        Ok(said(17_u8))
    }

    fn serialize_unit(self) -> Result<u64, Stop> {
        Ok(said(18_u8))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<u64, Stop> {
        Ok(said((19_u8, value.serialize(Self(self.0.step()?))?)))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<u64, Stop> {
        Ok(said((20_u8, variant)))
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Result<u64, Stop>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(Self(self.0.step()?))
    }

    fn serialize_newtype_variant<T>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<u64, Stop>
    where
        T: Serialize + ?Sized,
    {
        Ok(said((21_u8, variant, value.serialize(Self(self.0.level()?))?)))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, Stop> {
        Parts::new(self.0.level()?, 22, "")
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts, Stop> {
        Parts::new(self.0.level()?, 23, "")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts, Stop> {
        Parts::new(self.0.level()?, 23, "")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, Stop> {
        Parts::new(self.0.level()?.level()?, 24, variant)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts, Stop> {
        Parts::new(self.0.level()?, 25, "")
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts, Stop> {
        Parts::new(self.0.level()?, 26, if name == RAW { RAW } else { "" })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, Stop> {
        Parts::new(self.0.level()?.level()?, 27, variant)
    }
}

/// What the parts of a value say together.
struct Parts {
    room: Room,
    begin: (u8, &'static str),
    count: u64,
    sum: u64,
    key: u64,
}

#[allow(clippy::unnecessary_wraps)] // Serde asks for results.
impl Parts {
    fn new(room: Room, number: u8, name: &'static str) -> Result<Self, Stop> {
        Ok(Self { room, begin: (number, name), count: 0, sum: 0, key: 0 })
    }

    /// One more part. `of` is what belongs to its place, such as the name of a field.
    fn add<T: Serialize + ?Sized>(&mut self, of: impl Hash, part: &T) -> Result<(), Stop> {
        if self.begin.1 != RAW {
            let part = said((of, part.serialize(Digest(self.room))?));
            self.sum = self.sum.wrapping_add(part);
            self.count += 1;
        }
        Ok(())
    }

    fn end(&self) -> Result<u64, Stop> {
        Ok(said((self.begin, self.count, self.sum)))
    }
}

macro_rules! parts {
    ($($of:ident::$method:ident($($name:ident: $kind:ty)?) by $by:expr;)+) => {$(
        impl ser::$of for Parts {
            type Ok = u64;
            type Error = Stop;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: $kind,)? value: &T) -> Result<(), Stop> {
                let by: fn(&Self $(, $kind)?) -> _ = $by;
                self.add(by(self $(, $name)?), value)
            }

            fn end(self) -> Result<u64, Stop> {
                Parts::end(&self)
            }
        }
    )+};
}

parts! {
    SerializeSeq::serialize_element() by |_| 0_u64;
    SerializeTuple::serialize_element() by |parts| parts.count;
    SerializeTupleStruct::serialize_field() by |parts| parts.count;
    SerializeTupleVariant::serialize_field() by |parts| parts.count;
    SerializeStruct::serialize_field(name: &'static str) by |_, name| name;
    SerializeStructVariant::serialize_field(name: &'static str) by |_, name| name;
}

impl ser::SerializeMap for Parts {
    type Ok = u64;
    type Error = Stop;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Stop> {
        self.key = key.serialize(Digest(self.room))?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.add(self.key, value)
    }

    fn end(self) -> Result<u64, Stop> {
        Parts::end(&self)
    }
}
