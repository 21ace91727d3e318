# SPDX-License-Identifier: GPL-2.0-or-later
# Sphinx 5.3 and newer, nothing from outside: "make docs".
import re
from pathlib import Path

project = 'AppSheath'
author = 'the AppSheath authors'
copyright = author  # noqa: A001

_abi = (Path(__file__).parent.parent / 'include/appsheath/abi.h').read_text(encoding='utf-8')
release = version = 'ABI ' + re.search(r'#define AS_ABI_VERSION\s+(\d+)', _abi).group(1)

extensions = []
root_doc = 'index'
language = 'en'
nitpicky = True
smartquotes = False             # 'visor begins with an apostrophe, not with a quotation mark
highlight_language = 'none'
exclude_patterns = []

html_theme = 'alabaster'
html_theme_options = {
    'description': "trusted programs under a 'visor that nobody has to trust",
    'page_width': '1100px',
    'fixed_sidebar': True,
}
html_copy_source = False
html_show_sphinx = False
