#!/usr/bin/env bash
# Networks whose geometry is chosen, beside ones that learn it.  Run in a clone, with the
# data prepared (ncjax prepare fashion_mnist cifar10); extra arguments go to each run.  A
# run that is finished is not trained again.  Times are those of 2 cores.
#
#     launch/steering.sh data       # images at half resolution: half a minute
#     launch/steering.sh cifar10    # four classes on a square, narrow ResNet-18, 4 seeds
#     launch/steering.sh fashion    # four classes on a square, MLP, 20 seeds
#     launch/steering.sh learned    # codes that 100 networks choose, 4 and 10 classes
#     launch/steering.sh tuning     # nine settings of each of six methods
#     launch/steering.sh methods    # six methods, clean and random labels, 10 seeds
#     launch/steering.sh few        # the same with 20 images a class
#     launch/steering.sh long_tail  # three of them with 1000 to 10 images a class
#     launch/steering.sh finetune   # five classes, from networks of five others
#     python -m tests.benchmarks.studies.steering_shift   # their networks, other images
#     python -m tests.benchmarks.studies.steering     # tables, figure and verdicts
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:?"what: data, cifar10, fashion, learned, tuning, methods, few, long_tail or finetune?"}
extra=("${@:2}")
out=${STEERING_OUT:-runs/steering}
data=$out/data

train() {
    python -m ncjax.main "$@" "${extra[@]}"
}

# Four classes on a square, in each of the three ways, and a learned code.  The first
# class is opposite the third, and the second the fourth.
squares() {
    local name=$1 classes
    for classes in "${@:3}"; do
        train "${recipe[@]}" --config.data.classes="${classes#*=}" \
            --config.loss.name=cross_entropy --config.classifier.name=fixed \
            --config.classifier.target=vectors --config.classifier.project=2 \
            --config.classifier.file="$data/square.npy" \
            --workdir="$out/$name/${classes%%=*}"
    done
    # With a temperature of 0.1 half of the networks end with two classes in one place.
    train "${recipe[@]}" --config.data.classes="$2" --config.loss.name=normface \
        --config.classifier.project=2 --config.classifier.temperature=0.4 \
        --workdir="$out/$name/learned"
}

mlp=(
    --config=configs/fashion_mlp_ce.py --config.data.name=arrays
    --config.model.widths="(128,128,64)" --config.eval.crm=False
)
methods=(linear dot_regression class_means spherical fixed nearest)
# The learning rate and the temperature, or the energy, that were best on held-out images.
declare -A best=(
    [linear]="0.1 2" [spherical]="0.03 1" [class_means]="0.1 2" [fixed]="0.1 2"
    [nearest]="0.03 1" [dot_regression]="0.1 1"
)

choose() {
    case $1 in
        dot_regression)
            chosen=(--config.loss.name=dot_regression)
            knob=loss.energy
            ;;
        *)
            chosen=(--config.loss.name=cross_entropy --config.classifier.name="$1")
            knob=loss.temperature
            ;;
    esac
    if [ "$1" != linear ]; then chosen+=(--config.classifier.project=64); fi
    case $1 in linear | dot_regression) seeds=10 ;; *) seeds=5 ;; esac
}

case $what in
    data)
        python -m tests.benchmarks.studies.steering_data --out="$data"
        ;;
    cifar10)
        recipe=(
            --config=configs/cifar10_narrow_ce.py --config.num_seeds=4
            --config.data.name=arrays --config.data.path="$data/cifar10.npz"
            --config.model.width=0.125 --config.data.examples_per_class=250
            --config.batch_size=50 --config.num_epochs=20 --config.eval.num_points=2
        )
        squares cifar10 "('cat','dog','truck','automobile')" \
            "cat_dog=('cat','truck','dog','automobile')" \
            "cat_truck=('cat','dog','truck','automobile')" \
            "cat_automobile=('cat','dog','automobile','truck')"
        ;;
    fashion)
        recipe=(
            "${mlp[@]}" --config.data.path="$data/fashion.npz" --config.num_seeds=20
            --config.data.examples_per_class=500 --config.batch_size=200
            --config.num_epochs=60 --config.eval.num_points=4
        )
        squares fashion "('Shirt','Pullover','Trouser','Bag')" \
            "shirt_pullover=('Shirt','Trouser','Pullover','Bag')" \
            "shirt_trouser=('Shirt','Pullover','Trouser','Bag')" \
            "shirt_bag=('Shirt','Pullover','Bag','Trouser')"
        ;;
    learned)
        recipe=(
            "${mlp[@]}" --config.data.path="$data/fashion.npz" --config.num_seeds=100
            --config.data.examples_per_class=100 --config.batch_size=100
            --config.num_epochs=60 --config.eval.num_points=4
            --config.data.test_examples_per_class=100
            --config.loss.name=normface --config.classifier.project=2
        )
        train "${recipe[@]}" --config.classifier.temperature=0.3 \
            --workdir="$out/learned/ten"
        train "${recipe[@]}" --config.data.classes="('Shirt','Pullover','Trouser','Bag')" \
            --config.classifier.temperature=0.4 --workdir="$out/learned/four"
        ;;
    tuning | methods | few | long_tail | finetune)
        if [ "$what" = long_tail ]; then methods=(linear dot_regression class_means); fi
        if [ "$what" = finetune ]; then
            train "${mlp[@]}" --config.data.path="$data/fashion.npz" \
                --config.num_seeds=10 --config.data.examples_per_class=500 \
                --config.batch_size=200 --config.num_epochs=40 \
                --config.data.classes="('T-shirt/top','Trouser','Sandal','Bag','Ankle boot')" \
                --config.eval.num_points=2 --workdir="$out/stored"
        fi
        for method in "${methods[@]}"; do
            choose "$method"
            read -r rate value <<<"${best[$method]}"
            tuned=(--config.optimizer.learning_rate="$rate" --config."$knob"="$value")
            recipe=("${mlp[@]}" --config.data.path="$data/fashion.npz" "${chosen[@]}")
            long=(
                --config.data.examples_per_class=200 --config.batch_size=200
                --config.num_epochs=100 --config.data.test_examples_per_class=300
            )
            case $what in
                tuning)
                    grid=0.5,1,2
                    if [ "$knob" = loss.energy ]; then grid=1,16,256; fi
                    train "${recipe[@]}" "${long[@]}" --config.eval.num_points=2 \
                        --config.data.path="$data/fashion_tuning.npz" \
                        --config.seed=100 --sweep.optimizer.learning_rate=0.03,0.1,0.3 \
                        --sweep."$knob"="$grid" --workdir="$out/tuning/$method"
                    ;;
                methods)
                    train "${recipe[@]}" "${long[@]}" "${tuned[@]}" \
                        --config.num_seeds="$seeds" --sweep.data.random_labels=0,0.2,0.4 \
                        --config.eval.epochs="$(seq -s, 5 5 100 | sed 's/.*/(&)/')" \
                        --workdir="$out/methods/$method"
                    ;;
                few)
                    train "${recipe[@]}" "${tuned[@]}" --config.num_seeds="$seeds" \
                        --config.data.examples_per_class=20 --config.batch_size=50 \
                        --config.num_epochs=150 --config.eval.num_points=4 \
                        --workdir="$out/few/$method"
                    ;;
                long_tail)
                    train "${recipe[@]}" "${tuned[@]}" --config.num_seeds="$seeds" \
                        --config.data.examples_per_class=1000 --config.batch_size=200 \
                        --config.data.long_tail=exp --config.data.long_tail_ratio=0.01 \
                        --config.num_epochs=100 --config.eval.num_points=4 \
                        --workdir="$out/long_tail/$method"
                    ;;
                finetune)
                    python -m tests.benchmarks.studies.steering_finetune \
                        --stored="$out/stored" --out="$out/finetune/$method.json" \
                        "${recipe[@]}" "${tuned[@]}" --config.num_seeds="$seeds" \
                        --config.data.classes="('Pullover','Dress','Coat','Shirt','Sneaker')" \
                        --config.data.examples_per_class=20 --config.batch_size=50 \
                        --config.num_epochs=100 "${extra[@]}"
                    ;;
            esac
        done
        ;;
    *)
        echo "Unknown $what. Available: data, cifar10, fashion, learned, tuning," \
            "methods, few, long_tail, finetune." >&2
        exit 2
        ;;
esac
