//! Plans of the demo model, held against what is counted, laid out and estimated elsewhere.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use secateur_compress::allocation::{Choice, Knowledge, allocate};
use secateur_compress::forward::{Forward, NoTaps, Residency};
use secateur_compress::measure::mean_divergence;
use secateur_compress::progress::Silent;
use secateur_compress::statistics::{
    Place, Text, calibrate, calibration_tokens, read_kept, texts_or_built_in,
};
use secateur_compress::vocabulary::expected_use;
use secateur_compress::{Intent, plan_choices};
use secateur_model::plan::Plan;
use secateur_model::shape::{KeptLayer, Repair, ShapePlan};
use secateur_model::stored::FileBytes;
use secateur_model::{CacheType, Checkpoint, Rounding, TensorId, TensorType, demo};
use secateur_profiles::cost::Workload;
use secateur_profiles::estimate::{Usage, estimate};
use secateur_profiles::library;
use secateur_search::{Genome, Limit, Prediction, Preset, Space, Study, Surrogate as _};

use crate::caches::Cache;
use crate::plans::Damages;
use crate::shapes::Shape;
use crate::space::{CACHE, Choices, MATRICES, SHAPE, VOCABULARY};
use crate::vocabularies::Expected;
use crate::{
    Care, Device, Effort, Limits, Measurer, Offer, Plans, PlansError, Predictor, Scored, Stages, Subject,
};

const CONTEXT: usize = 512;
const PROMPT: usize = 256;

/// Lets a test look at all plans of the demo model for some devices.
fn with_plans(devices: &[Device], test: impl FnOnce(Result<Plans, PlansError>)) {
    with_plans_for(devices, &[], test);
}

/// The same, with the vocabularies that some texts leave.
fn with_plans_for(devices: &[Device], vocabulary: &[Text], test: impl FnOnce(Result<Plans, PlansError>)) {
    with_plans_of(devices, vocabulary, &Offer::default(), test);
}

/// The same, of what is offered.
fn with_plans_of(
    devices: &[Device],
    vocabulary: &[Text],
    offer: &Offer,
    test: impl FnOnce(Result<Plans, PlansError>),
) {
    let cache = tempfile::tempdir().unwrap();
    let whole = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap();
    let tokenizer = whole.tokenizer.as_ref().unwrap();
    let texts = texts_or_built_in(&[]).unwrap();
    let sequences = calibration_tokens(tokenizer, &whole.spec, &texts, Some(2048)).unwrap();
    let sequences: Vec<Vec<u32>> = sequences.into_iter().map(|sequence| sequence.tokens).collect();
    let place = Place::Cache(cache.path().to_owned());
    let stages = Stages { shape: Some(Care::Usual), vocabulary, offer };
    let statistics = calibrate(&whole, &sequences, &place, &Silent).unwrap().statistics;
    let knowledge =
        Knowledge::of(&whole, &statistics, 1, stages.channels(&whole.spec).unwrap(), &Silent).unwrap();
    let intent = Intent {
        asked: vec!["max-size=1".to_owned()],
        rounding: Rounding::Full,
        calibration: Some(statistics.fingerprint()),
    };
    let subject =
        Subject { whole: &whole, statistics: &statistics, knowledge: &knowledge, intent: &intent, stages };
    test(Plans::new(subject, devices, cache.path(), &Silent));
}

fn device(name: &str) -> Device {
    let profile = library::find(name).unwrap();
    Device::new(&profile, profile.runtime(None).unwrap(), CONTEXT, PROMPT)
}

/// Random plans, so many of each shape.
fn random_plans(plans: &Plans, of_each: usize) -> Vec<Genome> {
    random_plans_over(plans.space(), SHAPE, of_each)
}

/// Random plans, so many of each level of a unit.
fn random_plans_over(space: &Space, unit: usize, of_each: usize) -> Vec<Genome> {
    let mut generator = SmallRng::seed_from_u64(7);
    let levels = space.units()[unit].levels;
    (0..levels * of_each)
        .map(|index| space.with(&space.random(&mut generator), unit, index % levels))
        .collect()
}

fn assert_close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{what}: {found} instead of {expected}");
}

fn assert_same(found: &Prediction, expected: &Prediction) {
    assert_close(found.damage, expected.damage, "damage");
    found.costs.iter().zip(expected.costs.iter()).for_each(|(found, expected)| {
        assert_close(*found, *expected, "cost");
    });
}

#[test]
fn a_moved_unit_changes_predictions_as_the_whole_plan_says() {
    with_plans(&[device("apple-m1-pro-cpu")], |plans| {
        let plans = plans.unwrap();
        let (space, predictor) = (plans.space(), plans.predictor());
        let mut generator = SmallRng::seed_from_u64(11);
        for genome in random_plans(&plans, 20) {
            let state = predictor.state(&genome);
            for unit in 0..space.len() {
                if space.is_silent(unit, genome.levels()) {
                    continue;
                }
                let level = generator.gen_range(0..space.units()[unit].levels);
                let moved = predictor.after_move(space, &genome, &state, unit, level);
                assert_same(&moved, &predictor.predict(&space.with(&genome, unit, level)));
            }
        }
    });
}

#[test]
fn predicted_bytes_are_those_of_the_file() {
    with_plans(&[], |plans| {
        let plans = plans.unwrap();
        for genome in random_plans(&plans, 4) {
            let predicted = plans.predictor().predict(&genome).costs[0];
            let plan = plans.plan(&genome).unwrap();
            assert_eq!(predicted, plan.gguf_bytes as f64, "{}", plans.describe(&genome).body);
            let matrices = plan.tensors.iter().filter(|tensor| tensor.id.role.is_matrix()).count();
            assert_eq!(plans.choices.of_plan(&plans.bodies.of(&genome).spec, &genome).len(), matrices);
        }
    });
}

#[test]
fn matrices_are_silent_and_weigh_nothing_where_their_layer_is_gone() {
    with_plans(&[], |plans| {
        let plans = plans.unwrap();
        let (whole, gone) = (plans.subject.whole, 1);
        let (of, repair) = (whole.spec.layers.len(), Repair::Solve);
        let layers = (0..of).filter(|&layer| layer != gone).map(KeptLayer::whole).collect();
        let shorter = ShapePlan { of, layers, hidden: None, repair };
        let spec = shorter.apply(&whole.spec).unwrap();
        let (name, plan) = ("shorter".to_owned(), Some(shorter.clone()));
        let shape = Shape { name, plan, spec: spec.clone(), loss: 0.1 };
        let shapes = [plans.shapes.all[0].clone(), shape];
        let choices = Choices::new(&shapes, 1, 1, plans.choices.matrices.clone()).unwrap();
        let genome = choices.space.random(&mut SmallRng::seed_from_u64(3));
        let genome = choices.space.with(&genome, SHAPE, 1);
        for (index, matrix) in choices.matrices.iter().enumerate() {
            let is_silent = choices.space.is_silent(MATRICES + index, genome.levels());
            assert_eq!(is_silent, matrix.id.layer == Some(gone), "{:?}", matrix.id);
        }
        let of_plan = choices.of_plan(&spec, &genome);
        let model = whole.clone().with_shape(&shorter, None).unwrap();
        let planned = plan_choices(&model, &of_plan, plans.subject.intent).unwrap();
        let alone = plan_choices(&model, &choices.of_body(&spec, 1), plans.subject.intent).unwrap();
        let bytes = |of: &BTreeMap<TensorId, Choice>| of.values().map(|choice| choice.bytes).sum::<u64>();
        let rest = alone.gguf_bytes - bytes(&choices.of_body(&spec, 1));
        assert_eq!(planned.gguf_bytes, rest + bytes(&of_plan));
        for tensor in planned.tensors.iter().filter(|tensor| tensor.id.role.is_matrix()) {
            assert_eq!(tensor.to, of_plan[&tensor.id].tensor_type, "{}", tensor.name);
        }
    });
}

#[test]
fn costs_on_devices_are_what_the_whole_plan_is_estimated_at() {
    let names = ["apple-m1-pro-cpu", "apple-m2-gpu", "apple-a17-pro"];
    with_plans(&names.map(device), |plans| {
        let plans = plans.unwrap();
        let (usual, smaller) = (None, Some(CacheType::Q8_0));
        let caches = [usual, smaller].map(|chosen| Cache { chosen, loss: 0.0 });
        let matrices = plans.choices.matrices.clone();
        let choices = Choices::new(&plans.shapes.all, 1, caches.len(), matrices).unwrap();
        let predictor = Predictor::new(&choices, &plans.bodies, &caches, &plans.devices);
        for genome in random_plans_over(&choices.space, SHAPE, 4) {
            let predicted = predictor.predict(&genome);
            let model = plans.model(&genome).unwrap();
            let of_plan = choices.of_plan(&model.spec, &genome);
            let plan = plan_choices(&model, &of_plan, plans.subject.intent).unwrap();
            let workload = Workload::new(&model.spec, &plan.tensors, plan.gguf_bytes);
            let cache = caches[genome.level(CACHE)].cache_type();
            let usage = Usage { context: CONTEXT, prompt: PROMPT, cache, threads: None, loaded: false };
            for (index, name) in names.iter().enumerate() {
                let profile = library::find(name).unwrap();
                let estimate = estimate(&profile, profile.runtime(None).unwrap(), &workload, &usage);
                let costs = &predicted.costs[1 + 3 * index..];
                assert_close(costs[0], estimate.memory.total(), name);
                assert_close(1e6 / costs[1], estimate.decode, name);
                assert_close(1e6 / costs[2], estimate.prefill, name);
            }
        }
    });
}

#[test]
fn what_is_to_be_written_has_its_types_chosen_for_that() {
    with_plans(&[], |plans| {
        let plans = plans.unwrap();
        let bytes = 560_000;
        let budgets = plans.budgets(&Limits { size: Some(bytes), ..Limits::default() }).unwrap();
        let study = Study::in_memory();
        let options = &plans.subject.knowledge.options;
        let intent = plans.subject.intent;
        let alone = allocate(plans.subject.whole, options, &[], bytes, intent).unwrap();
        let by_types = plans.candidate(plans.by_types_alone(bytes).unwrap(), &study);
        let (first, rivals) = plans.finalists(&by_types, &study, &budgets, Some(bytes), 3);
        // as without a search
        let types = |plan: &Plan| -> BTreeMap<TensorId, TensorType> {
            plan.tensors.iter().map(|tensor| (tensor.id, tensor.to)).collect()
        };
        assert_eq!(types(&plans.plan(&first.genome).unwrap()), types(&alone));
        assert_ne!(first.genome, by_types.genome, "values count for less");
        assert!(rivals.is_empty(), "nothing else was measured");

        // in another shape: that shape, the uncut model, and what was found
        let found = plans.by_types_in(&plans.bodies.all[1], bytes, Damages::Measured).unwrap();
        let matrix = MATRICES + 2;
        let found = plans.space().with(&found, matrix, 0);
        let found = plans.candidate(found, &study);
        let (in_shape, rivals) = plans.finalists(&found, &study, &budgets, Some(bytes), 3);
        assert_eq!(in_shape.genome.level(SHAPE), 1);
        let rivals: Vec<&Genome> = rivals.iter().map(|rival| &rival.genome).collect();
        assert_eq!(rivals, [&first.genome, &found.genome]);
        let (_, fewer) = plans.finalists(&found, &study, &budgets, Some(bytes), 1);
        assert_eq!(fewer.len(), 1);
        // no number of bytes to fill
        let (unfilled, rivals) = plans.finalists(&found, &study, &budgets, None, 3);
        assert_eq!((unfilled.genome, rivals.len()), (found.genome, 0));
    });
}

#[test]
fn a_device_sets_limits_of_its_own() {
    with_plans(&[device("raspberry-pi-5-8gb")], |plans| {
        let plans = plans.unwrap();
        let asked = Limits {
            size: Some(500_000),
            memory: Some(u64::MAX),
            decode: Some(50.0),
            prefill: Some(200.0),
            energy: None,
        };
        let hardware = library::find("raspberry-pi-5-8gb").unwrap().hardware;
        let usable = hardware.usable_memory.value;
        let found = plans.budgets(&asked).unwrap();
        assert_eq!(found.limits(), [500_000.0, usable * 1024.0 * 1024.0 * 1024.0, 20_000.0, 5_000.0]);
        let limits = Limits { memory: Some(1_000_000), ..Limits::default() };
        assert_eq!(plans.budgets(&limits).unwrap().limits()[1], 1e6);
        // a token in so many joules is one in so much time; the tighter of both limits counts
        let joules = hardware.power.unwrap().value / 100.0;
        let limits = Limits { decode: None, energy: Some(joules), ..asked };
        assert_close(plans.budgets(&limits).unwrap().limits()[2], 10_000.0, "microseconds");
        let limits = Limits { energy: Some(10.0 * joules), ..asked };
        assert_eq!(plans.budgets(&limits).unwrap().limits()[2], 20_000.0);
    });
}

#[test]
fn one_study_has_a_front_for_each_device() {
    let (tight, roomy) = ("raspberry-pi-zero-2-w", "apple-m1-pro-cpu");
    with_plans(&[device(tight), device(roomy)], |plans| {
        let plans = plans.unwrap();
        let size = Some(620_000);
        let effort =
            Effort { preset: Preset::Fast, limit: Limit::Evaluations(0), seed: 1, study: None, rivals: 0 };
        // so fast that one of the devices has to give something up for it
        let fastest = |device: usize| {
            let coarse = plans.by_types_alone(620_000).unwrap();
            1e6 / plans.predictor().predict(&coarse).costs[2 + device * Device::COSTS]
        };
        let limits = Limits { size, decode: Some(1.02 * fastest(0)), ..Limits::default() };
        let found = plans.search(&limits, &effort, &secateur_search::Silent).unwrap();
        let names: Vec<&str> = found.alone.iter().map(|alone| alone.device.as_str()).collect();
        assert_eq!(names, [tight, roomy]);
        let [of_tight, of_roomy] = &found.alone[..] else { panic!("two devices") };
        assert!(of_roomy.chosen.expected < found.chosen.expected, "it need not wait for the other device");
        assert!(of_tight.chosen.expected <= found.chosen.expected);
        for alone in [of_tight, of_roomy] {
            assert!(!alone.front.is_empty());
            assert!(alone.front.iter().all(|plan| plan.costs[0] <= 620_000.0));
        }
        let slowest = |alone: &crate::Alone, device: usize| {
            let costs = alone.front.iter().map(|plan| plan.costs[2 + device * Device::COSTS]);
            costs.fold(0.0, f64::max)
        };
        let allowed = 1e6 / limits.decode.unwrap();
        assert!(slowest(of_tight, 0) <= allowed && slowest(of_roomy, 1) <= allowed);
        assert!(slowest(of_roomy, 0) > allowed, "what the other device does not bear is in reach");
    });
}

#[test]
fn more_devices_than_a_search_has_costs_for_are_refused() {
    let four = vec![device("apple-m1-pro-cpu"); 4];
    with_plans(&four, |plans| {
        assert!(matches!(plans, Err(PlansError::TooManyDevices { found: 4, most: 3 })));
    });
}

#[test]
fn plans_with_smaller_vocabularies_are_counted_and_measured_as_the_models_they_are() {
    let texts = texts_or_built_in(&[]).unwrap();
    with_plans_for(&[], &texts, |plans| {
        let plans = plans.unwrap();
        let sizes: Vec<usize> = plans.vocabularies.all.iter().map(|vocabulary| vocabulary.size).collect();
        assert!(sizes.len() > 2, "{sizes:?}");
        let mut losses = Vec::new();
        let finest: Vec<u16> = plans.space().units().iter().map(|unit| unit.levels as u16 - 1).collect();
        for (level, &size) in sizes.iter().enumerate() {
            let mut levels = finest.clone();
            (levels[SHAPE], levels[VOCABULARY]) = (0, level as u16);
            let genome = plans.space().genome(levels).unwrap();
            let model = plans.model(&genome).unwrap();
            assert_eq!(model.spec.vocabulary_size, size);
            let rounded = plans.rounded_model(&genome).unwrap();
            let id = TensorId::global(secateur_model::Role::TokenEmbedding);
            // half precision, which has the parent's numbers
            let (found, expected) = (rounded.tensor(id).unwrap(), model.tensor(id).unwrap());
            assert_eq!(found.read_all().unwrap(), expected.read_all().unwrap(), "rows of the kept tokens");
            let measurer = Measurer::new(&plans, plans.sequences(), Scored::ThreeQuarters).unwrap();
            let measured = measurer.measure(&genome, 0..2).unwrap();
            let own = plans.vocabularies.all[level].loss;
            // beside the parent with the same tokens it loses nothing
            measured.iter().for_each(|&value| assert!((value - own).abs() < 1e-4, "{value}, {own}"));
            losses.push(own);
        }
        assert!(losses.is_sorted() && losses[0] == 0.0 && losses[losses.len() - 1] > 0.0, "{losses:?}");
        // what is lost for a token of the smaller vocabulary counts as often as the text has more of them
        let last = sizes.len() - 1;
        let coarse =
            plans.space().with(&plans.space().genome(vec![0; finest.len()]).unwrap(), VOCABULARY, last);
        let source = &plans.sequences()[..1];
        let mut spelled = plans.vocabularies.spelled(last, source).unwrap().concat();
        let more = spelled.len() as f64 / source[0].len() as f64;
        assert!(more > 1.1, "{more}");
        let child = plans.rounded_model(&coarse).unwrap();
        spelled.truncate(child.spec.context_length);
        let judged = spelled.len() / 4..spelled.len();
        let logits = |model: &Checkpoint| {
            let forward = Forward::new(model, Residency::Stream).unwrap();
            let mut hidden = [forward.embed(&spelled).unwrap()];
            forward.run_layers(&mut hidden, &mut NoTaps, &Silent).unwrap();
            forward.logits(&hidden[0], judged.clone()).unwrap()
        };
        let (of_parent, of_child) = (logits(&plans.parent(&coarse).unwrap()), logits(&child));
        let divergence = mean_divergence(&of_parent, &of_child, sizes[last]);
        let measured =
            Measurer::new(&plans, source, Scored::ThreeQuarters).unwrap().measure(&coarse, 0..1).unwrap();
        assert_close(measured[0], losses[last] + more * divergence, "nats per token of the source");
        for genome in random_plans_over(plans.space(), VOCABULARY, 3) {
            let predicted = plans.predictor().predict(&genome).costs[0];
            let name = plans.describe(&genome).body;
            assert_eq!(predicted, plans.plan(&genome).unwrap().gguf_bytes as f64, "{name}");
        }
    });
}

#[test]
fn offered_vocabularies_have_to_be_possible() {
    let texts = texts_or_built_in(&[]).unwrap();
    let offered = |sizes: &[usize], test: &dyn Fn(Result<Plans, PlansError>)| {
        let offer = Offer { vocabulary: Some(sizes.to_vec()), ffn: Some(Vec::new()), ..Offer::default() };
        with_plans_of(&[], &texts, &offer, test);
    };
    offered(&[768, 512], &|plans| {
        let sizes: Vec<usize> =
            plans.unwrap().vocabularies.all.iter().map(|vocabulary| vocabulary.size).collect();
        assert_eq!(sizes[1..], [768, 512]);
    });
    offered(&[512, 64], &|plans| {
        let error = plans.err().unwrap().to_string();
        assert!(error.contains("a vocabulary of 64 tokens is too small"), "{error}");
    });
}

#[test]
fn what_judges_vocabularies_does_not_tell_what_is_expected() {
    with_plans_for(&[], &texts_or_built_in(&[]).unwrap(), |plans| {
        let plans = plans.unwrap();
        let Subject { whole, statistics, .. } = plans.subject();
        let judging: Vec<&[u32]> = statistics.judging().collect();
        let solving: Vec<&[u32]> = statistics.solving().collect();
        assert_eq!(judging.len() + solving.len(), statistics.sequences().len());
        assert!(!judging.is_empty() && solving.iter().all(|sequence| !judging.contains(sequence)));
        let kept: Expected = read_kept(&statistics.folder().join("expected_tokens.json")).unwrap();
        assert_eq!(kept.shares, expected_use(whole, &solving, &Silent).unwrap());
    });
}
