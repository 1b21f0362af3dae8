use super::*;
use crate::job::units::Seed;
use crate::job::{Code, Limits, Mode, ModelFacts};
use crate::picture::Picture;

fn read(fields: Value) -> Result<Output, Rejection> {
    Output::from_fields(fields.as_object().unwrap().clone())
}

/// Pictures of 512 x 512, from the `prompt` topic or from a request, with tastes of the operator's.
fn asked(own: Value, taste: Value, one_packet: bool) -> Result<Output, Rejection> {
    let taste = taste.as_object().unwrap().clone();
    let output = Output::take(Fields::within(own.as_object().unwrap().clone(), "output."), &[&taste], one_packet)?;
    output.check(Size::new(512, 512)?)?;
    Ok(output)
}

#[test]
fn an_output_with_everything_comes_back_from_its_own_fields() {
    for fields in [
        json!({"format": "epd_7c", "width": 600, "height": 448, "fit": "contain", "rotate": 270, "dither": "bayer",
            "max_bytes": 200_000, "part_bytes": 4096, "push": false}),
        json!({"format": "jpeg", "quality": 60, "metadata": true, "width": 333}),
        json!({}),
    ] {
        let output = read(fields).unwrap();
        let again = Output::from_fields(output.to_json().as_object().unwrap().clone()).unwrap();
        assert_eq!(again, output);
    }
}

#[test]
fn panels_are_dithered_and_files_are_not() {
    let dither = |format: &str| read(json!({"format": format})).unwrap().dither;
    assert_eq!(dither("mono"), Dither::FloydSteinberg);
    assert_eq!(dither("epd_e6"), Dither::FloydSteinberg);
    assert_eq!(dither("rgb565"), Dither::None);
    assert_eq!(dither("png"), Dither::None);
}

#[test]
fn what_cannot_be_says_what_could() {
    for (own, field, message) in [
        (
            json!({"format": "gif"}),
            "output.format",
            "output.format must be png, jpeg, webp, bmp, qoi, rgb565, rgb565le, gray2, gray4, mono, epd_bwr, epd_bwy, epd_7c or epd_e6, got \"gif\"",
        ),
        (
            json!({"dither": "x"}),
            "output.dither",
            "output.dither must be none, floyd_steinberg, atkinson or bayer, got \"x\"",
        ),
        (json!({"fit": "crop"}), "output.fit", "output.fit must be cover, contain or fill, got \"crop\""),
        (json!({"rotate": 45}), "output.rotate", "output.rotate must be 0, 90, 180 or 270, got 45"),
        (json!({"width": 0}), "output.width", "output.width must be between 1 and 8192, got 0"),
        (json!({"height": 8193}), "output.height", "output.height must be between 1 and 8192, got 8193"),
        (json!({"part_bytes": 100}), "output.part_bytes", "part_bytes must be between 512 and 1048576, got 100"),
        (
            json!({"dither": "bayer"}),
            "output.dither",
            "output.dither is for the raw formats of panels, png has every colour",
        ),
        (json!({"format": "bmp", "metadata": true}), "output.metadata", "output.metadata has no place in bmp"),
        (json!({"push": 1}), "output.push", "output.push must be true or false, got a number"),
        (
            json!({"format": "mono", "width": 800, "height": 480, "max_bytes": 47_999}),
            "output.max_bytes",
            "output.max_bytes must be at least 48000 for 800x480 mono, got 47999",
        ),
        (
            json!({"format": "mono", "width": 801, "max_bytes": 80_000}),
            "output.max_bytes",
            "output.max_bytes must be at least 80901 for 801x801 mono, got 80000",
        ),
        (
            json!({"width": 8192, "height": 8192}),
            "output.height",
            "output.height must make a picture of at most 8192 pixels a side and 16777216 in all, got 8192x8192",
        ),
    ] {
        let rejection = asked(own, json!({}), false).unwrap_err();
        assert_eq!((rejection.code, rejection.field.as_deref()), (Code::InvalidField, Some(field)));
        assert_eq!(rejection.message, message);
    }
}

#[test]
fn a_raw_picture_without_a_size_may_be_scaled_down_and_one_that_fits_is_taken() {
    assert!(asked(json!({"format": "mono", "max_bytes": 512}), json!({}), false).is_ok());
    assert!(
        asked(json!({"format": "mono", "width": 800, "height": 480, "max_bytes": 48_000}), json!({}), false).is_ok()
    );
}

#[test]
fn tastes_that_the_chosen_format_cannot_follow_are_left_aside() {
    let taste = json!({"format": "mono", "dither": "atkinson", "fit": "contain", "part_bytes": 4000, "metadata": true});
    let output = asked(json!({"format": "bmp"}), taste.clone(), false).unwrap();
    assert_eq!((output.dither, output.metadata), (Dither::None, false));
    assert_eq!(output.sizing.framing, Framing::Contain);
    let output = asked(json!({}), taste.clone(), true).unwrap();
    assert_eq!((output.format, output.dither, output.part_bytes), (Format::Mono, Dither::Atkinson, None));
    let part_bytes = asked(json!({"part_bytes": 4000}), taste.clone(), true).unwrap_err();
    assert_eq!(part_bytes.field.as_deref(), Some("output.part_bytes"));
    let push = asked(json!({"push": false}), taste, true).unwrap_err();
    assert_eq!(push.field.as_deref(), Some("output.push"));
}

fn made(width: u32, height: u32) -> (Made, Recipe) {
    let mut state = 1_u32;
    let pixels = (0..3 * width * height).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let picture = Picture::new(width, height, pixels.collect()).unwrap();
    let limits = Limits { request_bytes: 1, prompt_chars: 100, pixels: 1 << 18, steps: 50, count: 1 };
    let models = vec![ModelFacts::flat(&[Mode::Text])];
    let rules = Rules::bare(limits, models);
    let fields = Map::from_iter([("prompt".to_owned(), json!("x"))]);
    (Made { picture, seed: Seed::from(1) }, Recipe::from_fields(fields, Seed::from(1), &rules).unwrap().recipe)
}

#[test]
fn a_packets_room_changes_only_what_may_change() {
    let (made, recipe) = made(128, 128);
    let encoded = |own: Value, one_packet: bool, room: u32| {
        let output = asked(own, json!({}), one_packet).unwrap();
        output
            .encode(&made, &recipe, Some(room))
            .map(|encoded| (encoded.bytes.len(), encoded.width, output.parts(&encoded, Some(room))))
    };
    // Quality falls; the size stays.
    let (bytes, width, parts) = encoded(json!({"format": "jpeg", "width": 128}), false, 14_000).unwrap();
    assert!(bytes <= 14_000 && width == 128 && parts.is_none());
    // Nothing may change: it goes in parts, also where quality alone does not help.
    for own in [json!({"format": "png"}), json!({"format": "rgb565"}), json!({"format": "jpeg", "width": 128})] {
        let (bytes, width, parts) = encoded(own, false, 2000).unwrap();
        assert!(bytes > 2000 && width == 128 && parts.is_some());
    }
    // `max_bytes` allows it.
    let (bytes, width, parts) = encoded(json!({"format": "rgb565", "max_bytes": 10_000}), false, 2000).unwrap();
    assert!(bytes <= 2000 && width < 128 && parts.is_none());
    // Parts were asked for: no reason to spoil the picture.
    let (bytes, _, parts) =
        encoded(json!({"format": "png", "max_bytes": 60_000, "part_bytes": 1000}), false, 2000).unwrap();
    assert!(bytes > 40_000 && parts.unwrap().part_bytes == 1000);
    // A prompt's picture comes in one packet or not at all.
    let (bytes, _, parts) = encoded(json!({"format": "png"}), true, 2000).unwrap();
    assert!(bytes <= 2000 && parts.is_none());
    assert!(matches!(encoded(json!({"format": "png", "width": 128}), true, 2000), Err(EncodeError::TooLarge { .. })));
}

#[test]
fn what_is_not_pushed_is_fetched_in_parts() {
    let (made, recipe) = made(32, 32);
    let output = asked(json!({"push": false}), json!({}), false).unwrap();
    let encoded = output.encode(&made, &recipe, None).unwrap();
    assert_eq!(output.parts(&encoded, None).map(|parts| parts.parts), Some(1));
    let pushed = asked(json!({}), json!({}), false).unwrap();
    assert_eq!(pushed.parts(&encoded, None), None);
}
