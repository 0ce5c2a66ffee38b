use super::reference::bits;
use crate::Isa;
use crate::simd::{Kernel, Math, Simd, dispatch, load_part, store_part};

#[derive(Clone, Copy)]
enum Function {
    Exp,
    Tanh,
}

struct Map<'a>(Function, &'a mut [f32]);

impl Kernel for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut i = 0;
        while i < self.1.len() {
            let x = load_part(s, self.1, i);
            let y = match self.0 {
                Function::Exp => s.exp(x),
                Function::Tanh => s.tanh(x),
            };
            store_part(s, self.1, i, y);
            i += S::LANES;
        }
    }
}

fn apply(isa: Isa, function: Function, x: &[f32]) -> Vec<f32> {
    let mut y = x.to_vec();
    dispatch(isa, Map(function, &mut y));
    y
}

#[test]
fn exp_is_within_two_units_of_the_last_place_over_its_whole_range() {
    let x: Vec<f32> = (0..200_001).map(|i| -110.0 + i as f32 * 1e-3).collect();
    for isa in Isa::available() {
        for (&x, y) in x.iter().zip(apply(isa, Function::Exp, &x)) {
            let want = f64::from(x).exp();
            if want > f64::from(f32::MAX) {
                assert_eq!(y, f32::INFINITY, "exp({x})");
                continue;
            }
            let unit = f64::from((want as f32).next_up()) - f64::from(want as f32);
            assert!((f64::from(y) - want).abs() <= 2.0 * unit, "exp({x}) = {y}, not {want}");
        }
        let special =
            apply(isa, Function::Exp, &[f32::NEG_INFINITY, 0.0, -0.0, f32::INFINITY, 89.0, f32::NAN]);
        assert_eq!(bits(&special[..5]), bits(&[0.0, 1.0, 1.0, f32::INFINITY, f32::INFINITY]));
        assert!(special[5].is_nan());
    }
}

#[test]
fn tanh_keeps_its_digits_near_zero_and_ends_at_one() {
    let x: Vec<f32> =
        (-20_000..20_000).map(|i| i as f32 * 1e-3).chain((0..200).map(|i| i as f32 * 1e-5)).collect();
    for isa in Isa::available() {
        for (&x, y) in x.iter().zip(apply(isa, Function::Tanh, &x)) {
            let want = f64::from(x).tanh();
            assert!((f64::from(y) - want).abs() <= 1e-6 * want.abs(), "tanh({x}) = {y}, not {want}");
        }
        let special = apply(isa, Function::Tanh, &[f32::NEG_INFINITY, f32::INFINITY, 0.0, f32::NAN]);
        assert_eq!(special[..3], [-1.0, 1.0, 0.0]);
        assert!(special[3].is_nan());
    }
}

#[test]
fn the_instruction_set_is_chosen_once_for_the_process() {
    let best = Isa::best();
    assert!(Isa::available().contains(&best));
    assert!(best.choose());
    for other in Isa::available().into_iter().filter(|&i| i != best) {
        assert!(!other.choose());
    }
    assert_eq!(Isa::best(), best);
}
