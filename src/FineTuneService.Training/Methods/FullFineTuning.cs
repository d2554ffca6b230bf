using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Methods;

/// <summary>Every weight is trained.</summary>
[SpecType("full")]
public sealed record FullFineTuningConfig : TrainingMethodConfig
{
    /// <summary>What is not trained after all. Default: nothing.</summary>
    public FreezeConfig? Freeze { get; init; }

    public override void CheckModel(PretrainedConfig model, IReadOnlyList<LayerOutline> layers, ModelHead head, FaultList faults) => Freeze?.Check(layers, faults);

    public override TrainedWeights Prepare(PretrainedModel model, ModelHead head, string? baseFolder, long seed)
    {
        IReadOnlyList<string> newKeys = [];
        if (baseFolder is not null)
            newKeys = PretrainedFolder.LoadWeights(baseFolder, model, seed).NewKeys;
        else
            PretrainedFolder.Initialize(model, seed);
        Freeze?.Apply(model);
        return new WholeModel(model, newKeys);
    }

    /// <summary>A model that is stored in fewer bits than it is trained in keeps its trained weights beside, to go on from exactly there.</summary>
    private sealed class WholeModel(PretrainedModel model, IReadOnlyList<string> newKeys) : TrainedWeights
    {
        private const string TrainedFile = "trained_weights.safetensors";

        public override IReadOnlyList<string> NewKeys => newKeys;

        public override ScalarType StoredType => model.Config.StoredType;

        public override bool HoldsFrozen => true;

        public override void Save(string folder)
        {
            PretrainedFolder.Save(folder, model);
            if (StoredType != ScalarType.Float32)
                SafetensorsWriter.Write(Path.Combine(folder, TrainedFile), model.ExactState());
        }

        public override void Load(string folder)
        {
            var trained = Path.Combine(folder, TrainedFile);
            if (!File.Exists(trained))
            {
                PretrainedFolder.LoadWeights(folder, model, seed: 0);
                return;
            }
            using var _ = no_grad();
            using var reader = SafetensorsReader.Open(trained);
            foreach (var (key, weight) in model.ExactState())
                reader.CopyTo(key, weight);
            model.Masters?.Refresh();
        }
    }
}
