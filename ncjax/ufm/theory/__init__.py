"""Closed forms of unconstrained-features models (UFM); float64 NumPy, no solver needed.

The model has K classes with n_k samples, N in all, and free features:

    f(W, H, b) = (1/N) sum_i loss(W h_i + b) + (lW/2)|W|^2 + (lH/2)|H|^2 + (lb/2)|b|^2,

W [K, d], H [N, d].  Balanced classes leave one constant, c = sqrt(n lW lH).  With soft
labels and hierarchical losses on balanced trees, see `ncjax.hierarchy.soft_labels`;
with more classes than dimensions, d < K - 1, `ncjax.codes`.

    cross_entropy   cross-entropy, label smoothing; normalised; fixed simplex classifier
                    and the Hessian at the origin
    squared_error   MSE: the bias transition, imbalanced classes
    deep_collapse   deep linear and ReLU models: DNC, low-rank SRG, thresholds
    regression      neural regression collapse
    pick_all_label  sets of labels: a simplex and the sums of its vectors
    tasks           several tasks: independent labels; two that are correlated
    hadamard        gradient flow from Hadamard initialisation
    minority        when minority classes merge
    row_sum         the row sum of the classifier (NC0) under weight decay
"""
