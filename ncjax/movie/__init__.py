"""Movies of the collapse: features, class means and classifier in a plane.

Example:
    >>> import numpy as np
    >>> from ncjax import ufm
    >>> from ncjax.movie import frames_of, make_film, make_movie
    >>> problem = ufm.Problem.create("cross_entropy", 3, lambda_w=0.01, lambda_h=0.01)
    >>> flow = ufm.flow(problem, t_max=10.0, points=5)
    >>> film = make_film(frames_of(flow, np.arange(3)), "three classes", unit="t")
    >>> path, _ = make_movie([film], "three.gif", images=8)
    >>> path.name
    'three.gif'
"""

from ncjax.movie.film import Film as Film, make_film as make_film
from ncjax.movie.flow import frames_of as frames_of
from ncjax.movie.make import draw_still as draw_still, make_movie as make_movie
from ncjax.movie.sources import film_of as film_of
from ncjax.movie.view import MovieError as MovieError
