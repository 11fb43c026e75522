//! The body of an export: the message, made smaller, in the frame that gRPC wants.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The body that carries `message`.
pub(super) fn body(message: &[u8], grpc: bool, gzip: bool) -> Bytes {
    // Compression is one flag byte and four of length: "Length-Prefixed-Message" in the protocol of gRPC.
    let mut body = if grpc { vec![u8::from(gzip), 0, 0, 0, 0] } else { Vec::new() };
    if gzip {
        let mut encoder = GzEncoder::new(body, Compression::fast());
        // A `Vec` takes everything.
        let _ = encoder.write_all(message);
        body = encoder.finish().unwrap_or_default();
    } else {
        body.extend_from_slice(message);
    }
    if grpc && let Some((frame, rest)) = body.split_at_mut_checked(5) {
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        frame[1..].copy_from_slice(&length.to_be_bytes());
    }
    body.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_frame_tells_its_length_and_whether_it_is_compressed() {
        assert_eq!(&body(b"abc", true, false)[..], b"\0\0\0\0\x03abc");
        assert_eq!(&body(b"abc", false, false)[..], b"abc");
        let framed = body(&[7; 1_000], true, true);
        assert_eq!(framed[0], 1);
        assert_eq!(framed[1..5], u32::try_from(framed.len() - 5).unwrap().to_be_bytes());
        for packed in [framed.slice(5..), body(&[7; 1_000], false, true)] {
            let mut message = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut message).unwrap();
            assert_eq!(message, [7; 1_000]);
            assert!(packed.len() < 100);
        }
    }
}
