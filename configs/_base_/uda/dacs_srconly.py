# Supervised training in the frame of a method, so that masking or the feature distance can be added to it.
uda = dict(type="SourceOnly")
