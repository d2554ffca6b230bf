using FineTuneService.Training.Memory;

namespace FineTuneService.Training.Tests.Memory;

/// <summary>Three layers of 10 bytes each, by hand.</summary>
public sealed class TapeTests
{
    private readonly Meter _meter = new();
    private readonly ParameterSlot _weight = new("weight", [5], SlotKind.Vector) { IsTrained = true };
    private long _gradients;

    [Fact]
    public void What_is_kept_for_a_gradient_is_free_when_it_was_used()
    {
        var tape = new Tape(_meter, AddGradient, records: true);
        var input = Layer(tape, null);
        var output = tape.Scope(() => Layer(tape, Layer(tape, input)));

        Assert.Equal(30, _meter.Live); // The middle one is kept, though its scope has ended.
        tape.Backward(output);
        Assert.Equal(20, _meter.Live);
        Assert.Equal(50, _meter.Peak); // Everything, the gradient that came, and the one that goes on.
        tape.Close();
        Assert.Equal(0, _meter.Live);
        Assert.Equal(3, _gradients);
    }

    [Fact]
    public void Without_gradients_a_scope_frees_all_but_its_result()
    {
        var tape = new Tape(_meter, AddGradient, records: false);
        var output = tape.Scope(() => Layer(tape, Layer(tape, Layer(tape, null))));

        Assert.False(output.NeedsGradient);
        Assert.Equal((10, 30), (_meter.Live, _meter.Peak));
    }

    [Fact]
    public void A_recomputed_part_keeps_its_input_only()
    {
        var tape = new Tape(_meter, AddGradient, records: true);
        var output = tape.Recompute([Layer(tape, null)], (inner, inputs) => Layer(inner, Layer(inner, inputs[0])));

        Assert.Equal(20, _meter.Live);
        tape.Backward(output);
        tape.Close();
        Assert.Equal((0, 3), (_meter.Live, _gradients));
        Assert.Equal(70, _meter.Peak); // Input, output and its gradient; the part's two results, and two gradients on the way.
    }

    [Fact]
    public void A_fused_part_keeps_its_gradient_only()
    {
        _weight.IsTrained = false;
        var tape = new Tape(_meter, AddGradient, records: true);
        var input = tape.Run(10, 1, [], new() { Weights = [new("trained", [5], SlotKind.Vector) { IsTrained = true }] });
        var output = tape.Fused(input, (inner, given) => Layer(inner, Layer(inner, given)), isMultiplied: true, scratch: 7);

        Assert.Equal(50, _meter.Peak); // Input, the part's two results, and two gradients on the way.
        Assert.Equal(30, _meter.Live);
        tape.Backward(output);
        tape.Close();
        Assert.Equal((0, 1), (_meter.Live, _gradients));
        Assert.Equal(57, _meter.Peak); // Input, output and its gradient; the one that was kept, and the one that goes on.
    }

    [Fact]
    public void A_sum_shares_its_gradient()
    {
        var tape = new Tape(_meter, AddGradient, records: true);
        Value first = Layer(tape, null), second = Layer(tape, null);
        var sum = tape.Run(10, 1, [first, second], Tape.Sum);

        tape.Backward(sum);

        Assert.Equal(40, _meter.Peak);
    }

    private static Value Layer(Tape tape, Value? input, ParameterSlot weight) =>
        tape.Run(10, 1, input is null ? [] : [input], new() { Weights = [weight], Saves = input is null ? [] : [input] });

    private Value Layer(Tape tape, Value? input) => Layer(tape, input, _weight);

    private void AddGradient(ParameterSlot slot) => _gradients++;
}
