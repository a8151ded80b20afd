"""torch-fidelity's own command, with our extractors registered, so that it can be asked for them too."""

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.fidelity import main
from torch_fidelity.registry import register_feature_extractor

from rgan_bench import register
from rgan_bench.scoring.extractors import create_extractor


def adapted(extractor: str) -> type[FeatureExtractorBase]:
    layer = str(register.attributes("extractor", extractor)["dimensions"])

    class Adapted(FeatureExtractorBase):
        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return (layer,)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return layer

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def __init__(self, name: str, features_list: list[str], **kwargs: object) -> None:
            super().__init__(name, features_list)
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            self.extractor = create_extractor(extractor, device)

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            return (self.extractor(images),)

    return Adapted


if __name__ == "__main__":
    for each in ("pixels", "efficientnet-lite0"):
        register_feature_extractor(each, adapted(each))
    main()
