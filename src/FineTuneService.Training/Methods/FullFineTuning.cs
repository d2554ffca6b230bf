using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Methods;

/// <summary>Every weight is trained.</summary>
[SpecType("full")]
public sealed record FullFineTuningConfig : TrainingMethodConfig
{
    public override TrainedWeights Prepare(PretrainedModel model, ModelHead head, string baseFolder, long seed) =>
        new WholeModel(model, PretrainedFolder.LoadWeights(baseFolder, model, seed));

    private sealed class WholeModel(PretrainedModel model, PretrainedFolder.Loaded loaded) : TrainedWeights
    {
        public override IReadOnlyList<string> NewKeys => loaded.NewKeys;

        public override void Save(string folder) => PretrainedFolder.Save(folder, model);

        public override void Load(string folder) => PretrainedFolder.LoadWeights(folder, model, seed: 0);
    }
}
