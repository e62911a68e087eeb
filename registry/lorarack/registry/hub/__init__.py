"""The Hub: model cards, pushing and pulling versions."""
