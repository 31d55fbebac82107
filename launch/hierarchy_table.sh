#!/usr/bin/env bash
# Twelve methods that know a class tree, or do not, on one recipe: five seeds each, in
# one program, on 10,000 images of Fashion-MNIST; about 15 minutes on 2 cores.  Run in a
# clone, with the data prepared (ncjax prepare fashion_mnist); extra arguments go to each
# run.  A run that is finished is not trained again.
#
#     launch/hierarchy_table.sh [--config=... overrides]
set -euo pipefail
cd "$(dirname "$0")/.."

extra=("$@")
run() {  # run NAME [overrides]
    python -m ncjax.main --config=configs/fashion_mlp_ce.py --config.num_seeds=5 \
        --config.eval.order=True --config.eval.num_points=20 \
        --workdir="runs/hierarchy_table/$1" "${@:2}" "${extra[@]}"
}

run cross_entropy
run soft_labels --config.loss.name=soft_labels --config.loss.beta=4.0
run hxe_depth --config.loss.name=hxe --config.loss.weighting=depth
run hxe_height --config.loss.name=hxe --config.loss.weighting=height
run hace --config.loss.name=hace
run cpcc --config.loss.cpcc=1.0
run multi_level --config.loss.name=multi_level
run haf --config.loss.name=haf
run cascade --config.loss.name=cascade
run label_embedding --config.loss.name=label_embedding
run haframe --config.loss.name=haframe
run hier_cos --config.loss.name=hier_cos
python -m ncjax compare runs/hierarchy_table --baseline='cross_entropy cpcc=0' \
    --metrics=test/error,test/mistake_severity,test/ahd@1,test/ahd@5,test/hops,test/hops@5,test/fpa,nc/nc1,nc/nc2,nc/nc3,nc/gram_to_tree,tree/sibling_cosine \
    --out=runs/hierarchy_table_compared
