using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Methods;

/// <summary>A method's options, and the way from a base model to one that can be trained. Methods know leaf layers and names, never architectures.</summary>
public abstract record TrainingMethodConfig : MethodConfig
{
    /// <summary>What no field can say alone; needs no model.</summary>
    public virtual void Check(FaultList faults) { }

    /// <summary>Collects why weights from there cannot be trained so.</summary>
    public virtual void CheckInit(WeightsFrom init, FaultList faults) { }

    /// <summary>Collects what does not fit a base model, as far as the header of its weights tells; the rest is told by <see cref="Prepare"/>.</summary>
    public virtual void CheckModel(PretrainedConfig model, IReadOnlyList<LayerOutline> layers, ModelHead head, FaultList faults) { }

    /// <summary>Paths in a job.json are relative to its folder.</summary>
    public virtual TrainingMethodConfig InFolder(string folder) => this;

    /// <summary>Fills the model from its base's folder, adds what is trained and freezes the rest.</summary>
    /// <param name="baseFolder">Null: all weights are drawn, to pre-train a model.</param>
    /// <param name="seed">Of weights that are drawn.</param>
    /// <exception cref="FaultException">When model and method do not fit; said before the weights are read.</exception>
    public abstract TrainedWeights Prepare(PretrainedModel model, ModelHead head, string? baseFolder, long seed);
}

/// <summary>What a checkpoint holds of a model: all of it, or what was added to its base.</summary>
public abstract class TrainedWeights
{
    /// <summary>Tensors that the base lacked and that were drawn: a head, as a rule.</summary>
    public abstract IReadOnlyList<string> NewKeys { get; }

    /// <summary>Type of the published weights. Trained are float32; where they are published in less, <see cref="Load"/> still gives what was trained.</summary>
    public virtual ScalarType StoredType => ScalarType.Float32;

    /// <summary>Whether weights that are not trained are saved too, and so must be kept exactly.</summary>
    public virtual bool HoldsFrozen => false;

    /// <summary>Writes files in the layout of transformers or PEFT.</summary>
    public abstract void Save(string folder);

    /// <summary>Reads what <see cref="Save"/> wrote, into the model.</summary>
    public abstract void Load(string folder);
}
