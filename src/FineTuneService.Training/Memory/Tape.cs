namespace FineTuneService.Training.Memory;

/// <summary>Bytes that are there as long as somebody holds them.</summary>
internal sealed class Storage(long bytes)
{
    public long Bytes => bytes;

    public int Holders { get; set; }
}

/// <summary>What is held now, and the most that ever was.</summary>
internal sealed class Meter
{
    public long Live { get; private set; }

    public long Peak { get; private set; }

    public Storage Hold(Storage storage)
    {
        if (storage.Holders++ == 0)
            Grow(storage.Bytes);
        return storage;
    }

    public Storage Hold(long bytes) => Hold(new Storage(bytes));

    public void Release(Storage storage)
    {
        if (--storage.Holders == 0)
            Live -= storage.Bytes;
    }

    /// <summary>Needed for a moment.</summary>
    public void Touch(long bytes) => Peak = Math.Max(Peak, Live + bytes);

    public void Grow(long bytes)
    {
        Live += bytes;
        Touch(0);
    }
}

/// <summary>A tensor without its numbers.</summary>
/// <param name="Count">Elements.</param>
/// <param name="Width">Bytes of one.</param>
internal sealed record Value(Storage Storage, long Count, int Width, bool NeedsGradient)
{
    public long Bytes => Count * Width;

    internal Storage? Gradient { get; set; }
}

/// <summary>
/// Autograd's tape without its numbers: what every operation allocates, what it keeps for its gradient, and when each is free again. As in our models, what an operation gives stays until the
/// dispose scope around it ends; what was kept for a gradient, until the backward pass has gone over it.
/// </summary>
/// <param name="records">False: nothing is differentiated, and nothing kept for it.</param>
internal sealed class Tape(Meter meter, Action<ParameterSlot> addGradient, bool records)
{
    private readonly List<Node> _nodes = [];
    private readonly Stack<List<Storage>> _scopes = new([[]]);

    private sealed record Node(Value Output, IReadOnlyList<Value> Inputs, IReadOnlyList<ParameterSlot> Weights, List<Storage> Saved)
    {
        /// <summary>The gradient of the input takes its place.</summary>
        public bool OverwritesInput { get; init; }

        /// <summary>In place of a new gradient for each input.</summary>
        public Action<Node>? Differentiate { get; init; }

        public long Scratch { get; init; }
    }

    public bool Records => records;

    /// <summary>What an operation is besides its inputs and its result.</summary>
    internal sealed record Traits
    {
        /// <summary>Parameters that it reads.</summary>
        public IReadOnlyList<ParameterSlot> Weights { get; init; } = [];

        /// <summary>Their gradient is added to one that is there.</summary>
        public bool AddsInPlace { get; init; }

        /// <summary>What it keeps for its gradient, as far as it is wanted.</summary>
        public IReadOnlyList<Value> Saves { get; init; } = [];

        public bool SavesResult { get; init; }

        /// <summary>Bytes that it keeps for its gradient and gives to nobody.</summary>
        public long Keeps { get; init; }

        /// <summary>Bytes that it needs while it computes, or its gradient does.</summary>
        public long Scratch { get; init; }
        public long BackwardScratch { get; init; }

        /// <summary>Its result shares the memory of its first input.</summary>
        public bool IsView { get; init; }

        /// <summary>The gradient of its result is that of its inputs: a sum, or another shape.</summary>
        public bool PassesGradient { get; init; }

        /// <summary>The gradient of the input takes its place.</summary>
        public bool OverwritesInput { get; init; }
    }

    public static Traits Plain { get; } = new();

    public static Traits Sum { get; } = new() { PassesGradient = true };

    public Value Run(long count, int width, IReadOnlyList<Value> inputs, Traits traits)
    {
        var needs = records && (inputs.Any(input => input.NeedsGradient) || traits.Weights.Any(weight => weight.IsTrained));
        var output = new Value(traits.IsView ? inputs[0].Storage : new(count * width), count, width, needs);
        Own(output.Storage);
        meter.Touch(traits.Scratch);
        if (!needs)
        {
            meter.Touch(traits.Keeps + traits.Scratch);
            return output;
        }
        List<Storage> saved = [.. traits.Saves.Select(value => meter.Hold(value.Storage))];
        if (traits.SavesResult)
            saved.Add(meter.Hold(output.Storage));
        if (traits.Keeps > 0)
            saved.Add(meter.Hold(traits.Keeps));
        meter.Touch(traits.Scratch);
        _nodes.Add(new(output, inputs, traits.AddsInPlace ? [] : traits.Weights, saved)
        {
            Scratch = traits.BackwardScratch,
            OverwritesInput = traits.OverwritesInput,
            Differentiate = traits.PassesGradient ? node => PassOn(node.Inputs, node.Output.Gradient!) : null,
        });
        return output;
    }

    /// <summary>Bytes of results that nothing depends on, in this scope.</summary>
    public void Keep(long bytes) => Own(new(bytes));

    /// <summary>A result that no variable holds any longer.</summary>
    public void Drop(Value value)
    {
        if (_scopes.Peek().Remove(value.Storage))
            meter.Release(value.Storage);
    }

    /// <summary>A dispose scope that its result outlives.</summary>
    public Value Scope(Func<Value> compute)
    {
        _scopes.Push([]);
        var result = compute();
        meter.Hold(result.Storage);
        Close();
        _scopes.Peek().Add(result.Storage);
        return result;
    }

    public void Close()
    {
        foreach (var storage in _scopes.Pop())
            meter.Release(storage);
    }

    /// <summary>A part whose inside is computed a second time for its gradient.</summary>
    /// <param name="part">On the tape that it is given.</param>
    public Value Recompute(IReadOnlyList<Value> inputs, Func<Tape, IReadOnlyList<Value>, Value> part)
    {
        var quiet = new Tape(meter, addGradient, records: false);
        var result = quiet.Scope(() => part(quiet, inputs));
        var output = result with { NeedsGradient = records };
        Own(output.Storage);
        quiet.Close();
        if (!records)
            return output;
        _nodes.Add(new(output, inputs, [], [.. inputs.Select(input => meter.Hold(input.Storage))]) { Differentiate = Again });
        return output;

        void Again(Node node)
        {
            var inner = new Tape(meter, addGradient, records: true);
            Value[] leaves = [.. node.Inputs.Select(input => input with { NeedsGradient = true, Gradient = null })];
            inner.Backward(part(inner, leaves), node.Output.Gradient!);
            foreach (var (input, leaf) in node.Inputs.Zip(leaves))
                if (leaf.Gradient is { } gradient)
                {
                    PassOn([input], gradient);
                    meter.Release(gradient);
                }
            inner.Close();
        }
    }

    /// <summary>A part whose gradient is computed at once; that by its input is all that is kept of it.</summary>
    /// <param name="part">On the tape that it is given.</param>
    /// <param name="isMultiplied">Whether that gradient is multiplied by what arrives; else it goes on as it is.</param>
    /// <param name="scratch">Bytes that it takes to multiply it.</param>
    public Value Fused(Value input, Func<Tape, Value, Value> part, bool isMultiplied, long scratch)
    {
        var inner = new Tape(meter, addGradient, records: true);
        var leaf = input with { Gradient = null };
        var result = part(inner, leaf);
        inner.Backward(result);
        var output = result with { NeedsGradient = true, Gradient = null };
        Own(output.Storage);
        inner.Close();
        _nodes.Add(new(output, [input], [], leaf.Gradient is { } gradient ? [gradient] : [])
        {
            Scratch = isMultiplied ? scratch : 0,
            Differentiate = isMultiplied ? null : node => PassOn(node.Inputs, node.Saved.FirstOrDefault()!),
        });
        return output;
    }

    /// <summary>The backward pass. Frees what was kept for it.</summary>
    public void Backward(Value root, Storage? gradient = null)
    {
        root.Gradient = meter.Hold(gradient ?? new(root.Bytes));
        foreach (var node in _nodes.AsEnumerable().Reverse())
        {
            if (node.Output.Gradient is { } arrived)
            {
                if (node.Differentiate is { } differentiate)
                    differentiate(node);
                else
                    foreach (var input in node.Inputs.Where(input => input.NeedsGradient))
                        Arrive(input, node.OverwritesInput ? meter.Hold(input.Storage) : meter.Hold(input.Bytes));
                foreach (var weight in node.Weights.Where(weight => weight.IsTrained))
                    addGradient(weight);
                meter.Touch(node.Scratch);
                node.Output.Gradient = null;
                meter.Release(arrived);
            }
            foreach (var storage in node.Saved)
                meter.Release(storage);
        }
        _nodes.Clear();
    }

    private void PassOn(IReadOnlyList<Value> inputs, Storage gradient)
    {
        foreach (var input in inputs.Where(input => input.NeedsGradient))
            Arrive(input, meter.Hold(gradient));
    }

    /// <summary>Where one is there already, both are added up: in its place, if it is nobody else's.</summary>
    private void Arrive(Value input, Storage gradient)
    {
        if (input.Gradient is not { } there)
        {
            input.Gradient = gradient;
            return;
        }
        if (there.Holders > 1)
        {
            input.Gradient = meter.Hold(input.Bytes);
            meter.Release(there);
        }
        meter.Release(gradient);
    }

    private void Own(Storage storage) => _scopes.Peek().Add(meter.Hold(storage));
}
