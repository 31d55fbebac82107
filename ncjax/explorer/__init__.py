"""The explorer: a page with sliders for what theory gives in closed form.

`write_explorer("explorer.html")`, or `ncjax report --explorer explorer.html`.
"""

from ncjax.explorer.page import write_explorer as write_explorer
