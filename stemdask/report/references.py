"""The one table of references: what is cited where a method ran, as BibTeX."""

from __future__ import annotations


def _article(authors: str, title: str, journal: str, volume: str, pages: str, year: int, doi: str = "") -> str:
    fields = {"author": authors, "title": f"{{{title}}}", "journal": journal, "volume": volume, "pages": pages}
    fields |= {"year": str(year)} | ({"doi": doi} if doi else {})
    return "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())


_ARTICLES = {
    "anderson2000": _article(
        "Anderson, J. and King, I. R.",
        "Toward high-precision astrometry with WFPC2. I. Deriving an accurate point-spread function",
        "Publ. Astron. Soc. Pac.", "112", "1360--1382", 2000, "10.1086/316632",
    ),
    "bovy2011": _article(
        "Bovy, J. and Hogg, D. W. and Roweis, S. T.",
        "Extreme deconvolution: inferring complete distribution functions from noisy, heterogeneous and incomplete "
        "observations",
        "Ann. Appl. Stat.", "5", "1657--1677", 2011, "10.1214/10-AOAS439",
    ),
    "callevallejo2014": _article(
        "Calle-Vallejo, F. and Mart{\\'i}nez, J. I. and Garc{\\'i}a-Lastra, J. M. and Sautet, P. and Loffreda, D.",
        "Fast prediction of adsorption properties for platinum nanocatalysts with generalized coordination numbers",
        "Angew. Chem. Int. Ed.", "53", "8316--8319", 2014, "10.1002/anie.201402958",
    ),
    "debacker2013": _article(
        "De Backer, A. and Martinez, G. T. and Rosenauer, A. and Van Aert, S.",
        "Atom counting in HAADF STEM using a statistical model-based approach: methodology, possibilities, and "
        "inherent limitations",
        "Ultramicroscopy", "134", "23--33", 2013,
    ),
    "debacker2016": _article(
        "De Backer, A. and van den Bos, K. H. W. and Van den Broek, W. and Sijbers, J. and Van Aert, S.",
        "StatSTEM: an efficient approach for accurate and precise model-based quantification of atomic resolution "
        "electron microscopy images",
        "Ultramicroscopy", "171", "104--116", 2016,
    ),
    "falk1998": _article(
        "Falk, M. L. and Langer, J. S.", "Dynamics of viscoplastic deformation in amorphous solids",
        "Phys. Rev. E", "57", "7192--7205", 1998, "10.1103/PhysRevE.57.7192",
    ),
    "fearnhead2006": _article(
        "Fearnhead, P.", "Exact and efficient Bayesian inference for multiple changepoint problems",
        "Stat. Comput.", "16", "203--213", 2006, "10.1007/s11222-006-8450-8",
    ),
    "hoyer2017": _article(
        "Hoyer, S. and Hamman, J.", "xarray: N-D labeled arrays and datasets in Python",
        "J. Open Res. Softw.", "5", "10", 2017, "10.5334/jors.148",
    ),
    "josse2012": _article(
        "Josse, J. and Husson, F.", "Handling missing values in exploratory multivariate data analysis methods",
        "J. Soc. Fr. Stat.", "153", "79--99", 2012,
    ),
    "kabsch1976": _article(
        "Kabsch, W.", "A solution for the best rotation to relate two sets of vectors",
        "Acta Cryst. A", "32", "922--923", 1976, "10.1107/S0567739476001873",
    ),
    "larsen2016": _article(
        "Larsen, P. M. and Schmidt, S. and Schi{\\o}tz, J.",
        "Robust structural identification via polyhedral template matching",
        "Modelling Simul. Mater. Sci. Eng.", "24", "055007", 2016, "10.1088/0965-0393/24/5/055007",
    ),
    "lechner2008": _article(
        "Lechner, W. and Dellago, C.",
        "Accurate determination of crystal structures based on averaged local bond order parameters",
        "J. Chem. Phys.", "129", "114707", 2008, "10.1063/1.2977970",
    ),
    "mickel2013": _article(
        "Mickel, W. and Kapfer, S. C. and Schr{\\\"o}der-Turk, G. E. and Mecke, K.",
        "Shortcomings of the bond orientational order parameters for the analysis of disordered particulate matter",
        "J. Chem. Phys.", "138", "044501", 2013, "10.1063/1.4774084",
    ),
    "nord2017": _article(
        "Nord, M. and Vullum, P. E. and MacLaren, I. and Tybell, T. and Holmestad, R.",
        "Atomap: a new software tool for the automated analysis of atomic resolution images using two-dimensional "
        "Gaussian fitting",
        "Adv. Struct. Chem. Imaging", "3", "9", 2017, "10.1186/s40679-017-0042-5",
    ),
    "ober2004": _article(
        "Ober, R. J. and Ram, S. and Ward, E. S.", "Localization accuracy in single-molecule microscopy",
        "Biophys. J.", "86", "1185--1200", 2004, "10.1016/S0006-3495(04)74193-4",
    ),
    "owen2009": _article(
        "Owen, A. B. and Perry, P. O.",
        "Bi-cross-validation of the SVD and the nonnegative matrix factorization",
        "Ann. Appl. Stat.", "3", "564--594", 2009, "10.1214/08-AOAS227",
    ),
    "steinhardt1983": _article(
        "Steinhardt, P. J. and Nelson, D. R. and Ronchetti, M.", "Bond-orientational order in liquids and glasses",
        "Phys. Rev. B", "28", "784--805", 1983, "10.1103/PhysRevB.28.784",
    ),
    "tenwolde1996": _article(
        "ten Wolde, P. R. and Ruiz-Montero, M. J. and Frenkel, D.",
        "Numerical calculation of the rate of crystal nucleation in a Lennard-Jones system at moderate undercooling",
        "J. Chem. Phys.", "104", "9932--9947", 1996, "10.1063/1.471721",
    ),
    "vanaert2013": _article(
        "Van Aert, S. and De Backer, A. and Martinez, G. T. and Goris, B. and Bals, S. and Van Tendeloo, G. and "
        "Rosenauer, A.",
        "Procedure to count atoms with trustworthy single-atom sensitivity",
        "Phys. Rev. B", "87", "064107", 2013, "10.1103/PhysRevB.87.064107",
    ),
    "vanmeel2012": _article(
        "van Meel, J. A. and Filion, L. and Valeriani, C. and Frenkel, D.",
        "A parameter-free, solid-angle based, nearest-neighbor algorithm",
        "J. Chem. Phys.", "136", "234107", 2012, "10.1063/1.4729313",
    ),
    "wang2005": _article(
        "Wang, Y. and Teitel, S. and Dellago, C.",
        "Melting of icosahedral gold nanoclusters from molecular dynamics simulations",
        "J. Chem. Phys.", "122", "214722", 2005, "10.1063/1.1917756",
    ),
    "zhang2001": _article(
        "Zhang, Y. and Brady, M. and Smith, S.",
        "Segmentation of brain MR images through a hidden Markov random field model and the expectation-maximization "
        "algorithm",
        "IEEE Trans. Med. Imaging", "20", "45--57", 2001, "10.1109/42.906424",
    ),
}  # fmt: skip

#: Entries by their key.
BIBTEX = {key: f"@article{{{key},\n{fields}}}" for key, fields in _ARTICLES.items()}


def software(version: str) -> str:
    """Return the entry of stemdask itself."""
    fields = {"author": "{The stemdask developers}", "title": "stemdask", "version": version}
    return "@software{stemdask,\n" + "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items()) + "}"
