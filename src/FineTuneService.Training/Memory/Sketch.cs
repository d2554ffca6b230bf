namespace FineTuneService.Training.Memory;

/// <summary>What a pass over a model is for.</summary>
internal enum Pass
{
    Training,
    Evaluation,

    /// <summary>One row, all of its logits: see <see cref="Checkpoints.ExportVerification"/>.</summary>
    Verification,
}

/// <summary>How a pass is made.</summary>
/// <param name="Rows">Rows that go through the model at once.</param>
/// <param name="Length">Tokens of a row.</param>
/// <param name="Width">Bytes of a number that the model computes with.</param>
internal sealed record PassShape(Pass Pass, long Rows, long Length, int Width)
{
    public long Tokens => Rows * Length;

    /// <summary>Tokens that are no padding, as far as it is known; null: all may be.</summary>
    public long? RealTokens { get; init; }

    /// <summary>Whether dropout is at work.</summary>
    public bool Drops { get; init; }

    /// <summary>Whether rows are padded, or packed with several texts: then attention needs a mask.</summary>
    public bool IsMasked { get; init; }

    public bool GradientCheckpointing { get; init; }

    /// <summary>Share of the tokens that a masked model gives logits of.</summary>
    public double KeptShare { get; init; } = 1;

    /// <summary>Whether it is known in the forward pass by what the losses will be multiplied: see <see cref="Tasks.FusedCrossEntropy"/>.</summary>
    public bool KnowsLossFactor { get; init; }

    /// <summary>Whether the loss knows the base's logits: see <see cref="Tasks.KlToBase"/>.</summary>
    public bool ComparesWithBase { get; init; }
}

/// <summary>
/// A forward pass of a model without its numbers: a family draws it once more, with the layers of this class in place of those that compute. Each kind of layer knows what it allocates and what autograd keeps
/// of it, so a family says nothing but its layers, with the names of their parameters.
/// </summary>
internal sealed partial class Sketch(PassShape shape, ParameterPlan plan)
{
    private Tape _tape = null!;

    public PassShape Shape => shape;

    /// <summary>Draws on this tape.</summary>
    public Sketch On(Tape tape)
    {
        _tape = tape;
        return this;
    }

    /// <summary>Called when the model has given its last hidden states.</summary>
    public Action? AtHead { get; init; }

    /// <summary>Elements of a causal mask, where one is needed because rows are padded or packed.</summary>
    public long CausalMask => shape.IsMasked ? shape.Tokens * shape.Length : 0;

    /// <summary>The same where a token sees only some before it.</summary>
    public long WindowMask => Math.Max(CausalMask, shape.Length * shape.Length);

    /// <summary>To be said of a model's last hidden states.</summary>
    public Value Hidden(Value hidden)
    {
        AtHead?.Invoke();
        return hidden;
    }

    /// <summary>A table's rows for every token: <c>[rows, seq, dim]</c>, or <c>[seq, dim]</c> for positions, which are the same in every row.</summary>
    public Value Embedding(string name, long count, long dim, bool perRow = true)
    {
        var table = plan.Slot(name + ".weight", [count, dim], SlotKind.Embedding);
        var elements = (perRow || _tokens < shape.Tokens ? _tokens : shape.Length) * dim;
        var looked = _tape.Records && table.ComesByRows ? Math.Min(table.Count, elements) * shape.Width : 0;
        if (looked > 0)
            _tape.Keep(looked);
        var rows = _tape.Run(elements, shape.Width, [], new() { Weights = [table], AddsInPlace = looked > 0 && table.IsReadWhole, BackwardScratch = looked });
        return plan.RankOf(name) is { } rank ? Update(name, rows, null, count, dim, rank) : rows;
    }

    /// <summary>A table that is read as a whole.</summary>
    public Value Table(string name, long count, long dim) => _tape.Run(count * dim, shape.Width, [], new() { Weights = [WholeTable(name, count, dim)] });

    public Value Linear(string name, Value input, long inFeatures, long outFeatures, bool bias = true)
    {
        var weight = plan.Slot(name + ".weight", [outFeatures, inFeatures], SlotKind.Linear);
        ParameterSlot[] parameters = bias ? [weight, plan.Slot(name + ".bias", [outFeatures], SlotKind.Vector)] : [weight];
        var count = input.Count / inFeatures * outFeatures;
        var result = weight.IsQuantized ? Packed(input, count, weight, parameters) : _tape.Run(count, shape.Width, [input], new() { Weights = parameters, Saves = weight.IsTrained ? [input] : [] });
        return plan.RankOf(name) is { } rank ? Update(name, result, input, inFeatures, outFeatures, rank) : result;
    }

    /// <summary>The product with a weight that another layer has.</summary>
    public Value Tied(string table, Value input, long count, long dim, string? bias = null)
    {
        var weight = WholeTable(table, count, dim);
        ParameterSlot[] parameters = bias is null ? [weight] : [weight, plan.Slot(bias, [count], SlotKind.Vector)];
        return _tape.Run(input.Count / dim * count, shape.Width, [input], new() { Weights = parameters, Saves = weight.IsTrained ? [input] : [] });
    }

    private ParameterSlot WholeTable(string name, long count, long dim)
    {
        var table = plan.Slot(name + ".weight", [count, dim], SlotKind.Embedding);
        table.IsReadWhole = true;
        return table;
    }

    /// <summary>Unpacked for the product, and again for its gradient.</summary>
    private Value Packed(Value input, long count, ParameterSlot weight, ParameterSlot[] parameters)
    {
        const long Chunk = 1 << 20, BytesOfChunk = 12;
        var width = plan.QuantizedWidth(shape.Width);
        var unpacked = weight.Count * width + weight.Count / 64 * 12 + Math.Min(weight.Count, Chunk) * BytesOfChunk;
        var copies = width == shape.Width ? 0 : (input.Count + count) * width;
        var product = _tape.Run(count, shape.Width, [input], new() { Scratch = unpacked + copies, BackwardScratch = unpacked + copies });
        return parameters.Length == 1 ? product : _tape.Run(count, shape.Width, [product], Tape.Sum with { Weights = parameters[1..] });
    }

    /// <summary>See <see cref="Models.Layers.LoraUpdate"/>.</summary>
    private Value Update(string name, Value result, Value? input, long inFeatures, long outFeatures, int rank)
    {
        var (a, b) = input is null ? ("lora_embedding_A", "lora_embedding_B") : ("lora_A", "lora_B");
        var first = plan.Slot($"{name}.{a}.weight", [rank, inFeatures], SlotKind.Factor);
        var second = plan.Slot($"{name}.{b}.weight", [outFeatures, rank], SlotKind.Factor);
        var dropped = input is null ? null : Dropout(input, plan.LoraDropout);
        var low = _tape.Run(result.Count / outFeatures * rank, shape.Width, dropped is null ? [] : [dropped], new() { Weights = [first], Saves = dropped is null ? [] : [dropped] });
        var high = _tape.Run(result.Count, shape.Width, [low], new() { Weights = [second], Saves = [low] });
        var scaled = _tape.Run(result.Count, shape.Width, [high], Tape.Plain);
        if (!plan.UsesDora)
            return Add(result, scaled);
        var magnitude = plan.Slot($"{name}.lora_magnitude_vector.weight", [1, outFeatures], SlotKind.Factor);
        _tape.Keep(3 * inFeatures * outFeatures * (long)shape.Width); // the update, scaled, and added to the weight
        var plain = Run(result); // without the bias, or of what was dropped
        var direction = _tape.Run(result.Count, shape.Width, [plain], new() { Weights = [magnitude], Saves = [plain] });
        var change = _tape.Run(result.Count, shape.Width, [scaled], new() { Weights = [magnitude], Saves = [scaled] });
        return Add(Add(result, direction), change);
    }

    public Value LayerNorm(string name, Value input, long dim, bool bias = true)
    {
        ParameterSlot[] parameters = bias ? [Vector(name + ".weight", dim), Vector(name + ".bias", dim)] : [Vector(name + ".weight", dim)];
        return _tape.Run(input.Count, shape.Width, [input], new() { Weights = parameters, Saves = [input], Keeps = input.Count / dim * 2 * sizeof(float) });
    }

    /// <summary>libtorch has no kernel for it on a CPU: a square, its mean's root, two products, in fp32.</summary>
    public Value RmsNorm(string name, Value input, long dim)
    {
        var weight = Vector(name + ".weight", dim);
        var exact = shape.Width == sizeof(float) ? input : _tape.Run(input.Count, sizeof(float), [input], Tape.Plain);
        var square = _tape.Run(input.Count / dim, sizeof(float), [exact], new() { Saves = [exact], SavesResult = true, Scratch = exact.Bytes, BackwardScratch = exact.Bytes });
        var normal = _tape.Run(input.Count, shape.Width, [exact, square], new() { Saves = [exact, square], Scratch = shape.Width == sizeof(float) ? 0 : exact.Bytes, BackwardScratch = exact.Bytes });
        var result = _tape.Run(input.Count, shape.Width, [normal], new() { Weights = [weight], Saves = weight.IsTrained ? [normal] : [], BackwardScratch = weight.IsTrained ? normal.Bytes : 0 });
        _tape.Drop(normal);
        _tape.Drop(square);
        if (exact != input)
            _tape.Drop(exact);
        return result;
    }

    /// <param name="name">config.json's.</param>
    public Value Activation(string name, Value input) => name is "relu" or "tanh"
        ? _tape.Run(input.Count, input.Width, [input], new() { SavesResult = true })
        : _tape.Run(input.Count, input.Width, [input], new() { Saves = [input] });

    /// <summary>A factor for each element is drawn and kept.</summary>
    public Value Dropout(Value input, double probability) => !shape.Drops || probability == 0
        ? input
        : _tape.Run(input.Count, input.Width, [input], new() { Keeps = input.Bytes });

    /// <summary>Of one shape, or broadcast to the first's.</summary>
    public Value Add(Value first, Value second) => _tape.Run(Math.Max(first.Count, second.Count), first.Width, [first, second], Tape.Sum);

    public Value Multiply(Value first, Value second) => _tape.Run(first.Count, first.Width, [first, second], new()
    {
        Saves = [.. second.NeedsGradient ? new[] { first } : [], .. first.NeedsGradient ? new[] { second } : []],
    });

    /// <summary>Any operation of as many elements that keeps nothing: a product with a number, a copy.</summary>
    public Value Run(Value input) => _tape.Run(input.Count, input.Width, [input], Tape.Plain);

    /// <summary>Bytes of results that nothing depends on.</summary>
    public void Keep(long bytes) => _tape.Keep(bytes);

    /// <summary>A mean over the tokens of each row, where padding counts as nothing.</summary>
    public Value Mean(Value hidden, long count) => _tape.Run(count, hidden.Width, [shape.IsMasked ? Run(hidden) : hidden], Tape.Plain);

    /// <summary>A part of a tensor, such as the first token of each row, or one of several halves; shares its memory.</summary>
    public Value Part(Value input, long count) => _tape.Run(count, input.Width, [input], new() { IsView = true });

    /// <summary>The states whose logits a masked model gives.</summary>
    public Value Kept(Value hidden, long dim) => shape.KeptShare == 1 ? hidden : _tape.Run((long)Math.Ceiling(shape.KeptShare * shape.Tokens) * dim, hidden.Width, [hidden], Tape.Plain);

    /// <summary>See <see cref="Models.Layers.BlockList{T}"/>.</summary>
    /// <param name="path">Of the list: block 3 has the prefix <c>path.3</c>.</param>
    /// <param name="shared">Another tensor that all read.</param>
    public Value Blocks(string path, int count, Value hidden, Func<int, string, Value, Value?, Value> block, Value? shared = null)
    {
        plan.AddBlocks(path, count);
        for (var at = 0; at < count; at++)
        {
            var (number, name) = (at, $"{path}.{at}");
            hidden = shape.GradientCheckpointing && _tape.Records
                ? Recompute(shared is null ? [hidden] : [hidden, shared], inputs => block(number, name, inputs[0], inputs.Count > 1 ? inputs[1] : null))
                : _tape.Scope(() => block(number, name, hidden, shared));
        }
        return hidden;
    }

    private Value Recompute(IReadOnlyList<Value> inputs, Func<IReadOnlyList<Value>, Value> part) => _tape.Recompute(inputs, (tape, given) => Within(tape, () => part(given)));

    private Value Within(Tape tape, Func<Value> part)
    {
        var outer = _tape;
        _tape = tape;
        var result = part();
        _tape = outer;
        return result;
    }

    private ParameterSlot Vector(string name, long dim) => plan.Slot(name, [dim], SlotKind.Vector);
}
