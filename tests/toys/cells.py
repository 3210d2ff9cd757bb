"""Cells of many columns, as they are seen along an axis."""

#: β-manganese along [001], in fractions of its cell (Shoemaker et al., Acta Cryst. B 34 (1978) 3573): twenty columns in
#: pairs that surround round gaps.
BETA_MANGANESE = [
    *((0.0636, 0.0636), (0.4364, 0.9364), (0.9364, 0.5636), (0.5636, 0.4364), (0.8136, 0.3136)),
    *((0.6864, 0.6864), (0.3136, 0.1864), (0.1864, 0.8136), (0.125, 0.2022), (0.375, 0.7978)),
    *((0.875, 0.7022), (0.625, 0.2978), (0.4522, 0.125), (0.9522, 0.375), (0.0478, 0.875)),
    *((0.5478, 0.625), (0.2022, 0.4522), (0.7978, 0.9522), (0.7022, 0.0478), (0.2978, 0.5478)),
]

#: β-silicon nitride along [0001], in fractions of its cell (Borgen & Seip, Acta Chem. Scand. 15 (1961) 1789): silicon,
#: and nitrogen beside it or between three.
SILICON = [(0.174, 0.768), (0.232, 0.406), (0.594, 0.826), (0.826, 0.232), (0.768, 0.594), (0.406, 0.174)]
NITROGEN = [(0.3333, 0.6667), (0.6667, 0.3333), (0.33, 0.031), (0.969, 0.299)]
NITROGEN += [(0.701, 0.67), (0.67, 0.969), (0.031, 0.701), (0.299, 0.33)]
