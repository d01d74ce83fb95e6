from __future__ import annotations

from windsock.adapters import libraries


def test_each_library_is_loaded_quietly_and_in_order(monkeypatch):
    seen = []
    monkeypatch.setattr(libraries, "import_module", seen.append)
    libraries.load_libraries()
    assert tuple(seen) == libraries.LIBRARIES
