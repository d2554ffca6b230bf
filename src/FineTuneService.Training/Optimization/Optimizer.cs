using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Native;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>Changes the trained parameters of a model by their gradients. What it must remember has names, so that a resumed run goes on with the same bits.</summary>
public abstract class Optimizer : IDisposable
{
    private readonly MasterWeights? _masters;
    private readonly bool _makesCopies;

    /// <param name="layerwiseDecay">See <see cref="TrainingArguments.LayerwiseLrDecay"/>.</param>
    /// <param name="takesAnyForm">Whether <see cref="Update"/>, where all weights lie on the host, is a loop of ours that takes the gradient of a table's rows for that of the table, and gradients in bf16, and that makes <see cref="TrainedParameter.Copy"/>.</param>
    protected Optimizer(PretrainedModel model, double layerwiseDecay = 1, bool takesAnyForm = false)
    {
        _masters = model.Masters;
        var trained = model.named_parameters().Where(entry => entry.parameter.requires_grad).ToList();
        IsHostLoop = takesAnyForm && trained.All(entry => HostLoop.IsPlain(_masters?.Exact(entry.name, entry.parameter) ?? entry.parameter));
        var tables = model.named_modules().Where(entry => entry.module is Embedding).ToDictionary(entry => $"{entry.name}.weight", entry => (Embedding)entry.module);
        var depths = new ParameterDepths(model);
        Parameters =
        [
            .. from entry in trained
               select new TrainedParameter(entry.name, entry.parameter, _masters, Math.Pow(layerwiseDecay, depths.BelowHead(entry.name)), tables.GetValueOrDefault(entry.name), IsHostLoop),
        ];
        _makesCopies = Parameters.All(parameter => parameter.Copy is not null);
    }

    protected IReadOnlyList<TrainedParameter> Parameters { get; }

    /// <summary>Whether its step is a loop of ours, on the host.</summary>
    protected bool IsHostLoop { get; }

    /// <summary>Follows the weights from step to step; null: nobody asked for it.</summary>
    public WeightAverage? Average { get; init; }

    /// <summary>Where gradients are computed in fp16: by what they are too large when <see cref="Step"/> gets them. Null: by nothing.</summary>
    public LossScale? Scale { get; init; }

    /// <summary>What is logged of it, by name.</summary>
    public IEnumerable<(string Name, double Value)> Metrics => Scale is null ? [] : [("loss_scale", Scale.Value), ("skipped_steps", Scale.Skipped)];

    /// <summary>Everything a resumed run needs, as <c>WHAT.PARAMETER</c>.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> State =>
        Parameters.SelectMany(parameter => parameter.State.Select(entry => ($"{entry.Key}.{parameter.Name}", entry.Value))).Concat(Average?.State ?? []).Concat(Scale?.State ?? []);

    /// <summary>The optimizer that these arguments ask for.</summary>
    public static Optimizer Create(PretrainedModel model, TrainingArguments training)
    {
        var average = training.EmaDecay is { } decay ? new WeightAverage(model, decay) : null;
        var scale = training.MixedPrecision == MixedPrecision.Fp16 ? new LossScale() : null;
        var layers = training.LayerwiseLrDecay;
        var rule = new AdamWRule(training.WeightDecay, training.AdamBeta1, training.AdamBeta2, training.AdamEpsilon);
        return training.Optim switch
        {
            OptimizerName.Sgd => new Sgd(model, training.WeightDecay, SgdOptions.Parse(training.OptimArgs), layers) { Average = average, Scale = scale },
            OptimizerName.Adafactor => new Adafactor(model, training.WeightDecay, layers) { Average = average, Scale = scale },
            OptimizerName.Adamw8bit or OptimizerName.AdamwBnb8bit or OptimizerName.PagedAdamw8bit => new AdamW8bit(model, rule, layers) { Average = average, Scale = scale },
            _ => new AdamW(model, rule, layers) { Average = average, Scale = scale },
        };
    }

    /// <summary>Sets the state of <see cref="State"/> from tensors by name.</summary>
    public void LoadState(Func<string, Tensor> read)
    {
        using var _ = no_grad();
        foreach (var (name, tensor) in State)
            tensor.copy_(read(name));
        foreach (var parameter in Parameters)
            parameter.Rows?.Forget();
        Average?.Swap(); // The checkpoint's model is the average.
    }

    /// <summary>Of every trained parameter that took part, each as large as the parameter and in fp32, in a fixed order.</summary>
    public IEnumerable<Tensor> Gradients()
    {
        foreach (var parameter in Parameters)
        {
            parameter.Fill();
            if (parameter.Gradient is { } gradient)
                yield return gradient;
        }
    }

    /// <summary>After each backward pass: adds the gradients up in the precision of training, where autograd does not do it in the parameters themselves.</summary>
    public void Collect()
    {
        foreach (var parameter in Parameters)
            parameter.Collect();
    }

    /// <summary>Clips the gradients to <paramref name="maxGradNorm"/> (0: no clipping), updates the parameters and clears the gradients.</summary>
    /// <returns>The norm of all gradients before clipping: a scalar that has not been waited for. 0 where fp16 has overflowed: then nothing is updated.</returns>
    public Tensor Step(double learningRate, double maxGradNorm)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        Collect();
        var active = new List<(TrainedParameter Parameter, Tensor Gradient)>(Parameters.Count); // A gradient that is asked for is a new object each time.
        foreach (var parameter in Parameters)
            if (parameter.Gradient is { } gradient)
                active.Add((parameter, gradient));
        var gradients = active.ConvertAll(entry => entry.Gradient).ToArray();
        if (Scale is not null)
            TorchScript.Scale(gradients, tensor((float)(1 / Scale.Value), device: gradients[0].device));
        var norm = GradientNorm.Of(gradients);
        var foundInf = norm.isfinite().logical_not().to(ScalarType.Float32); // 1: nothing is updated
        var isSkipped = (Scale is not null || !ObeysFoundInf) && foundInf.ToSingle() > 0;
        Scale?.Update(isSkipped);
        if (!isSkipped)
        {
            var divisor = maxGradNorm > 0 ? ((norm + 1e-6) / maxGradNorm).clamp_(min: 1) : ones_like(norm); // torch.nn.utils.clip_grad_norm_
            if (!DividesGradients && maxGradNorm > 0)
                TorchScript.Scale(gradients, divisor.reciprocal_());
            Update(active, learningRate, foundInf, divisor);
            Average?.Follow();
            if (!_makesCopies)
                _masters?.Refresh();
        }
        foreach (var (parameter, _) in active)
            parameter.Gradient = null;
        return (isSkipped && Scale is not null ? zeros_like(norm) : norm).MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        foreach (var parameter in Parameters)
            parameter.Dispose();
        foreach (var (_, tensor) in (Average?.State ?? []).Concat(Scale?.State ?? []))
            tensor.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Whether <see cref="Update"/> may be called where nothing is to be updated: then no device is waited for to know.</summary>
    protected virtual bool ObeysFoundInf => false;

    /// <summary>Whether <see cref="Update"/> divides the gradients itself, in the same pass over memory.</summary>
    protected virtual bool DividesGradients => false;

    /// <summary>One step of those parameters that have a gradient, without autograd. It may be of rows, see <see cref="TrainedParameter.Rows"/>, and in bf16, for whoever takes any form.</summary>
    /// <param name="foundInf">A scalar, fp32: 1 where the gradients' norm is not finite.</param>
    /// <param name="divisor">A scalar, fp32: by what the gradients are too large; for whoever <see cref="DividesGradients"/>.</param>
    protected abstract void Update(IReadOnlyList<(TrainedParameter Parameter, Tensor Gradient)> active, double learningRate, Tensor foundInf, Tensor divisor);

    /// <summary>Gives each parameter something to be remembered.</summary>
    /// <param name="create">Null: nothing for this one.</param>
    protected void Remember(string name, Func<TrainedParameter, Tensor?> create)
    {
        using var _ = no_grad();
        foreach (var parameter in Parameters)
            if (create(parameter) is { } tensor)
                parameter.State[name] = tensor.DetachFromDisposeScope();
    }

    /// <summary>Where a count is read at every step it lies on the host, so that no device is waited for.</summary>
    protected static double CountUp(TrainedParameter parameter)
    {
        var steps = parameter.State["step"];
        return steps.add_(1).ToDouble();
    }
}
