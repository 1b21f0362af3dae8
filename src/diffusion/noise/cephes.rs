//! The single-precision logarithm, sine and cosine of the Cephes library (Moshier), in the order of operations of
//! `avx_mathfun` with fused multiply-adds: what torch's CPU kernels compute, bit for bit.
//!
//! The standard library's functions differ from these by up to 3 units in the last place.

/// Natural logarithm of a normal number above zero.
pub(super) fn ln(x: f32) -> f32 {
    const SQRT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
    const P: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    // ln 2 in two parts.
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const LN_2_HIGH: f32 = 0.693_359_4;

    let bits = x.to_bits();
    let mut exponent = ((bits >> 23) as i32 - 0x7e) as f32;
    let mut m = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    if m < SQRT_HALF {
        exponent -= 1.0;
        m = m - 1.0 + m;
    } else {
        m -= 1.0;
    }
    let z = m * m;
    let y = polynomial(&P, m) * m;
    let y = y.mul_add(z, exponent * LN_2_LOW);
    let y = z.mul_add(-0.5, y);
    exponent.mul_add(LN_2_HIGH, m + y)
}

/// Sine and cosine of an angle from 0 to some thousands.
pub(super) fn sin_cos(angle: f32) -> (f32, f32) {
    const SIN: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];
    const COS: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];
    // pi / 4 in three parts.
    const PARTS: [f32; 3] = [0.785_156_25, 2.418_756_5e-4, 3.774_895e-8];

    let octant = ((angle * (4.0 / std::f32::consts::PI)) as i32 + 1) & !1;
    let x = PARTS.iter().fold(angle, |x, part| (octant as f32).mul_add(-part, x));
    let z = x * x;
    let near_cos = (polynomial(&COS, z) * z).mul_add(z, -(z * 0.5)) + 1.0;
    let near_sin = (polynomial(&SIN, z) * z).mul_add(x, x);

    let (sin, cos) = if octant & 2 == 0 { (near_sin, near_cos) } else { (near_cos, near_sin) };
    let negative_sin = octant & 4 != 0;
    let negative_cos = (octant - 2) & 4 == 0;
    (if negative_sin { -sin } else { sin }, if negative_cos { -cos } else { cos })
}

/// Horner's rule, highest power first.
fn polynomial(coefficients: &[f32], x: f32) -> f32 {
    coefficients.iter().copied().reduce(|sum, next| sum.mul_add(x, next)).unwrap_or_default()
}
