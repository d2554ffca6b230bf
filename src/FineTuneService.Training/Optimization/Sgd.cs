using System.Globalization;
using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>What transformers reads for SGD from <c>optim_args</c>.</summary>
public sealed record SgdOptions(double Momentum = 0, double Dampening = 0, bool Nesterov = false)
{
    private const string Pointer = "/training/optim_args", Form = "Write momentum=0.9,dampening=0,nesterov=true, or some of them.";

    /// <exception cref="FaultException">With everything in the text that is no such option.</exception>
    public static SgdOptions Parse(string? text)
    {
        var faults = new FaultList();
        var options = Parse(text, faults);
        faults.ThrowIfAny();
        return options;
    }

    public static SgdOptions Parse(string? text, FaultList faults)
    {
        var options = new SgdOptions();
        foreach (var pair in (text ?? "").Replace(" ", "", StringComparison.Ordinal).Split(',', StringSplitOptions.RemoveEmptyEntries))
            options = pair.Split('=') switch
            {
                ["momentum", var value] => options with { Momentum = Share(value, pair, faults) },
                ["dampening", var value] => options with { Dampening = Share(value, pair, faults) },
                ["nesterov", "true" or "True" or "1" or "yes"] => options with { Nesterov = true },
                ["nesterov", "false" or "False" or "0" or "no"] => options with { Nesterov = false },
                ["weight_decay", _] => Unknown("Weight decay has an argument of its own.", "Set weight_decay beside optim_args."),
                _ => Unknown("This is no option of sgd.", Form),
            };
        faults.Require(
            !options.Nesterov || (options.Momentum > 0 && options.Dampening == 0), Pointer, text, "Nesterov's momentum needs a momentum, and no dampening.", "Give momentum=0.9,nesterov=true.");
        return options;

        SgdOptions Unknown(string message, string remedy)
        {
            faults.Add(Pointer, text, message, remedy);
            return options;
        }
    }

    private static double Share(string value, string pair, FaultList faults)
    {
        if (double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && number is >= 0 and < 1)
            return number;
        faults.Add(Pointer, pair, "This is a number from 0 to below 1.", Form);
        return 0;
    }
}

/// <summary>Stochastic gradient descent with momentum, as <c>torch.optim.SGD</c> has it: weight decay is added to the gradient.</summary>
public sealed class Sgd : Optimizer
{
    private const string Buffer = "momentum_buffer";

    private readonly double _weightDecay;
    private readonly SgdOptions _options;

    public Sgd(PretrainedModel model, double weightDecay, SgdOptions options, double layerwiseDecay = 1) : base(model, layerwiseDecay)
    {
        (_weightDecay, _options) = (weightDecay, options);
        if (options.Momentum == 0)
            return;
        Remember(Buffer, AdamWRule.Zeros);
        Remember(AdamWRule.Steps, _ => zeros([]));
    }

    protected override void Update(IReadOnlyList<(TrainedParameter Parameter, Tensor Gradient)> active, double learningRate, Tensor foundInf, Tensor divisor)
    {
        foreach (var (parameter, gradient) in active)
        {
            using var scope = NewDisposeScope();
            var direction = Direction(parameter, gradient);
            parameter.Weight.add_(direction, alpha: -learningRate * parameter.RateScale);
        }
    }

    private Tensor Direction(TrainedParameter parameter, Tensor gradient)
    {
        if (parameter.Decays && _weightDecay != 0)
            gradient = gradient.add(parameter.Weight, alpha: _weightDecay);
        if (_options.Momentum == 0)
            return gradient;
        var buffer = parameter.State[Buffer];
        if (CountUp(parameter) == 1)
            buffer.copy_(gradient); // The first is not damped.
        else
            buffer.mul_(_options.Momentum).add_(gradient, alpha: 1 - _options.Dampening);
        return _options.Nesterov ? gradient.add(buffer, alpha: _options.Momentum) : buffer;
    }
}
