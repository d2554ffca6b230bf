using System.Globalization;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Tasks;

/// <summary>
/// Holds a language model near its base: the loss of every token that is learnt grows by weight · KL(base ‖ model), so what the base says of it is learnt besides
/// (Li and Hoiem 2016, arXiv:1606.09282). The base is the model itself with its adapter off; where all weights are trained, a frozen copy.
/// </summary>
public sealed class KlToBase : IDisposable
{
    public const string Metric = "kl_to_base";

    private const string Pointer = "/training/kl_to_base_weight";

    private readonly PretrainedModel? _copy;

    private KlToBase(double weight, PretrainedModel? copy) => (Weight, _copy) = (weight, copy);

    public double Weight { get; }

    /// <summary>A base that says nothing of tokens cannot be stayed near, nor one that is gone.</summary>
    public static void Check(TrainingTaskConfig task, WeightsFrom init, TrainingMethodConfig method, TrainingArguments training, FaultList faults)
    {
        var weight = training.KlToBaseWeight;
        if (weight == 0)
            return;
        faults.Require(
            task.Head is ModelHead.CausalLm or ModelHead.MaskedLm, Pointer, weight, "What this task trains has no head that predicts tokens: the base model's is drawn, and says nothing to stay near.",
            "Leave it out; to keep what the model knows, use the method lora or a lower learning rate.");
        faults.Require(init == WeightsFrom.Pretrained, Pointer, weight, "Weights that are drawn say nothing to stay near.", "Leave it out, or start from pretrained weights.");
        faults.Require(
            method is not LoraConfig lora || lora is { Bias: LoraBias.None, ModulesToSave: null or [] }, Pointer, weight, "The base is the model with its adapter off, and more than an adapter is trained.",
            "Use lora with bias none and without modules_to_save, or the method full.");
    }

    /// <returns>Null where the run wants none.</returns>
    /// <param name="model">On its device, as it will compute.</param>
    /// <param name="newKeys">Tensors that the base lacks.</param>
    public static KlToBase? Of(JobSpec spec, PretrainedModel model, IReadOnlyList<string> newKeys, Device device)
    {
        var weight = spec.Training.KlToBaseWeight;
        if (weight == 0)
            return null;
        if (newKeys.Count > 0)
            throw new FaultException(
                Pointer, weight.ToString(CultureInfo.InvariantCulture), $"The base model lacks what predicts its tokens ({string.Join(", ", newKeys.Take(3))}): it is drawn, and says nothing to stay near.",
                "Leave it out, or choose a base model that was saved with its language head.");
        if (spec.Method is LoraConfig)
        {
            using var adapterAlone = new AdapterSwitch(model); // or a fault
            return new(weight, null);
        }
        var copy = model.Config.Create(((TrainingTaskConfig)spec.Task).Head);
        PretrainedFolder.LoadWeights(spec.BaseModel, copy, spec.Training.Seed);
        foreach (var parameter in copy.parameters())
            parameter.requires_grad = false;
        copy.to(device);
        copy.ComputeIn(model.ComputeType);
        copy.eval();
        return new(weight, copy);
    }

    /// <summary>What the base makes of something, without gradient, dropout or noise.</summary>
    internal Tensor Ask(PretrainedModel model, Func<PretrainedModel, Tensor> question)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        if (_copy is not null)
            return question(_copy).MoveToOuterDisposeScope();
        using var off = new AdapterSwitch(model);
        var wasTraining = model.training;
        model.eval();
        try
        {
            return question(model).MoveToOuterDisposeScope();
        }
        finally
        {
            model.train(wasTraining);
        }
    }

    /// <summary>Σ p · (log p − log q) over the vocabulary, of the base's p and the model's q: one number for each token, fp32; 0 where the label is not learnt.</summary>
    /// <param name="ofBase"><c>[tokens, vocabulary]</c>.</param>
    /// <param name="logits"><c>[tokens, vocabulary]</c>.</param>
    /// <param name="labels"><c>[tokens]</c>.</param>
    internal static Tensor Divergence(Tensor ofBase, Tensor logits, Tensor labels)
    {
        using var scope = NewDisposeScope(); // Each of these is as large as all logits.
        var expected = functional.log_softmax(ofBase.to(ScalarType.Float32), -1);
        var difference = expected - functional.log_softmax(logits.to(ScalarType.Float32), -1);
        return (expected.exp_() * difference).sum(-1).masked_fill(labels.eq(LanguageModelLoss.Ignored), 0).MoveToOuterDisposeScope();
    }

    /// <param name="divergence">Summed as the loss is.</param>
    internal TaskLoss AddTo(TaskLoss loss, Tensor divergence) => new(loss.Sum + Weight * divergence)
    {
        Metrics = new Dictionary<string, Tensor>(loss.Metrics) { [Metric] = divergence },
    };

    public void Dispose() => _copy?.Dispose();
}
