"""Commands beside the pipeline: features of slides as files, signatures, the IHC of a whole slide."""
