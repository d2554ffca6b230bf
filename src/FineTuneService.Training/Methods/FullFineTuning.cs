using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Methods;

/// <summary>Every weight is trained.</summary>
[SpecType("full")]
public sealed record FullFineTuningConfig : TrainingMethodConfig
{
    public override TrainedWeights Prepare(PretrainedModel model, ModelHead head, string? baseFolder, long seed)
    {
        if (baseFolder is not null)
            return new WholeModel(model, PretrainedFolder.LoadWeights(baseFolder, model, seed).NewKeys);
        PretrainedFolder.Initialize(model, seed);
        return new WholeModel(model, []);
    }

    private sealed class WholeModel(PretrainedModel model, IReadOnlyList<string> newKeys) : TrainedWeights
    {
        public override IReadOnlyList<string> NewKeys => newKeys;

        public override void Save(string folder) => PretrainedFolder.Save(folder, model);

        public override void Load(string folder) => PretrainedFolder.LoadWeights(folder, model, seed: 0);
    }
}
