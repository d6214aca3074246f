//! The colour of a house, kept readable on light and on dark ground.

/// A colour of sRGB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colour([u8; 3]);

/// What text needs at least (WCAG 2.2, 1.4.3).
const CONTRAST: f64 = 4.5;
/// The ground of pages and cards where it is nearest to the accent: the darkest of the light ones and the lightest of the dark.
const LIGHT: Colour = Colour([0xf4, 0xf5, 0xf7]);
const DARK: Colour = Colour([0x1c, 0x1f, 0x25]);
const WHITE: Colour = Colour([0xff; 3]);
const BLACK: Colour = Colour([0; 3]);

impl Colour {
    /// `#rgb` or `#rrggbb`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let digits: Vec<u8> =
            digits.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect::<Option<_>>()?;
        match *digits.as_slice() {
            [r, g, b] => Some(Self([r * 17, g * 17, b * 17])),
            [r, s, g, h, b, c] => Some(Self([r * 16 + s, g * 16 + h, b * 16 + c])),
            _ => None,
        }
    }

    /// Custom properties for both grounds: the colour as near to this one as can be read there.
    pub(super) fn to_css(self) -> String {
        let light = self.towards(BLACK, LIGHT);
        let dark = self.towards(WHITE, DARK);
        format!(
            ":root{{--accent:{};--on-accent:#ffffff}}\n\
             @media (prefers-color-scheme:dark){{:root{{--accent:{};--on-accent:#14161a}}}}\n",
            light.hex(),
            dark.hex()
        )
    }

    fn towards(self, end: Self, ground: Self) -> Self {
        let mixed = (0..=50).map(|step| self.mix(end, f64::from(step) / 50.0));
        let mut last = end;
        for colour in mixed {
            last = colour;
            if colour.contrast(ground) >= CONTRAST {
                break;
            }
        }
        last
    }

    fn mix(self, other: Self, part: f64) -> Self {
        let [a, b] = [self.0, other.0];
        let mut mixed = [0; 3];
        for (place, (from, to)) in mixed.iter_mut().zip(a.into_iter().zip(b)) {
            let value = f64::from(from) + (f64::from(to) - f64::from(from)) * part;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
            let byte = value.round() as u8;
            *place = byte;
        }
        Self(mixed)
    }

    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// WCAG 2.2, relative luminance.
    fn luminance(self) -> f64 {
        let linear = |byte: u8| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let [r, g, b] = self.0.map(linear);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    fn hex(self) -> String {
        let [r, g, b] = self.0;
        format!("#{r:02x}{g:02x}{b:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_becomes_one_that_can_be_read() {
        for text in ["#000", "#fff", "#ffff00", "#0000ff", "#808080", "#2457d6", "#ff5500", "#00ff7f"] {
            let colour = Colour::parse(text).unwrap();
            let light = colour.towards(BLACK, LIGHT);
            assert!(light.contrast(LIGHT) >= CONTRAST && light.contrast(WHITE) >= CONTRAST, "{text} {light:?}");
            let dark = colour.towards(WHITE, DARK);
            let on_accent = Colour::parse("#14161a").unwrap();
            assert!(dark.contrast(DARK) >= CONTRAST && dark.contrast(on_accent) >= CONTRAST, "{text} {dark:?}");
        }
        assert_eq!(Colour::parse("#2457d6").unwrap().towards(BLACK, LIGHT).hex(), "#2457d6");
        for text in ["2457d6", "#2457d", "#2457g6", "red", "#", "#+1f"] {
            assert_eq!(Colour::parse(text), None, "{text}");
        }
    }
}
