namespace FineTuneService.Training.Memory;

/// <summary>What an attention is besides its queries, keys and values.</summary>
/// <param name="Heads">Of the queries.</param>
internal sealed record AttentionSketch(long Heads, double Dropout)
{
    /// <summary>Elements of the mask, which libtorch makes numbers of for every layer; 0: none.</summary>
    public long Mask { get; init; }

    /// <summary>Added to the scores, <c>[rows, heads, seq, seq]</c>.</summary>
    public Value? Bias { get; init; }
}

internal sealed partial class Sketch
{
    private long Scores(long heads) => shape.Rows * heads * shape.Length * shape.Length;

    /// <summary>Where only some tokens ask.</summary>
    private long Scores(long heads, Value query, Value key) => query.Count == key.Count ? Scores(heads) : shape.Rows * heads * shape.Length * (query.Count * shape.Length / key.Count);

    /// <summary>The fused kernel, which keeps no scores; with dropout, or where a bias has a gradient, step by step.</summary>
    public Value Attention(Value query, Value key, Value value, AttentionSketch attention)
    {
        if (shape.Drops && attention.Dropout > 0)
            return Join(WithDropout(query, key, value, attention));
        if (attention.Bias is { NeedsGradient: true })
            return Join(WithBias(query, key, value, attention.Bias, attention.Heads));
        var inputs = attention.Bias is null ? new[] { query, key, value } : [query, key, value, attention.Bias];
        return _tape.Run(query.Count, query.Width, inputs, new()
        {
            Saves = inputs,
            SavesResult = true,
            Keeps = (shape.Rows * attention.Heads * shape.Length * sizeof(float)) + (attention.Mask * query.Width),
        });
    }

    /// <summary>See <see cref="Models.Layers.Attention.ScaledDotProduct"/>.</summary>
    private Value WithDropout(Value query, Value key, Value value, AttentionSketch attention) => _tape.Scope(() =>
    {
        var count = Scores(attention.Heads, query, key);
        var (left, right, last) = (Run(Run(query)), Run(key), Run(value)); // copied for the product, since heads lie apart
        var scores = _tape.Run(count, query.Width, [left, right], new() { Saves = [left, right] });
        if (attention.Bias is { } bias)
            scores = Add(scores, bias);
        else if (attention.Mask > 0)
            scores = _tape.Run(count, query.Width, [scores], new() { IsView = true, Keeps = attention.Mask });
        var weights = Dropout(_tape.Run(count, query.Width, [scores], new() { SavesResult = true }), attention.Dropout);
        return _tape.Run(query.Count, query.Width, [weights, last], new() { Saves = [weights, last] });
    });

    /// <summary>The definition of <c>scaled_dot_product_attention</c>, step by step (libtorch's <c>attention.cpp</c>), in fp32.</summary>
    private Value WithBias(Value query, Value key, Value value, Value bias, long heads)
    {
        var inner = new List<Value>();
        var scaledQuery = Inner(Run(Exact(query)));
        var scaledKey = Inner(Run(Exact(key)));
        var (left, right, last) = (Inner(Run(scaledQuery)), Inner(Run(scaledKey)), Exact(value)); // copied for the product, since heads lie apart
        last = Inner(Run(last));
        _tape.Drop(scaledQuery);
        _tape.Drop(scaledKey);
        var count = Scores(heads);
        var scores = Inner(_tape.Run(count, sizeof(float), [left, right], new() { Saves = [left, right] }));
        scores = Inner(_tape.Run(count, sizeof(float), [scores, bias], new() { IsView = true, PassesGradient = true }));
        var soft = Inner(_tape.Run(count, sizeof(float), [scores], new() { SavesResult = true }));
        var weights = Inner(_tape.Run(count, sizeof(float), [soft], new() { Scratch = count })); // where a row sees nothing: 0
        _tape.Drop(scores);
        _tape.Drop(soft);
        var product = _tape.Run(query.Count, sizeof(float), [weights, last], new() { Saves = [weights, last] });
        var result = query.Width == sizeof(float) ? product : _tape.Run(query.Count, query.Width, [Inner(product)], Tape.Plain);
        foreach (var used in inner)
            _tape.Drop(used);
        return result;

        Value Inner(Value made)
        {
            inner.Add(made);
            return made;
        }

        Value Exact(Value given) => given.Width == sizeof(float) ? given : Inner(_tape.Run(given.Count, sizeof(float), [given], Tape.Plain));
    }

    /// <summary>Scores with a bound, which no kernel knows: see <see cref="Models.Layers.Attention.Causal"/>.</summary>
    public Value BoundedAttention(Value query, Value key, Value value, long heads, double dropout)
    {
        var count = Scores(heads);
        var (left, right) = (Run(query), Run(key));
        var scores = _tape.Run(count, query.Width, [left, right], new() { Saves = [left, right] });
        _tape.Drop(left);
        _tape.Drop(right);
        var bounded = Run(Activation("tanh", Run(scores)));
        _tape.Keep(shape.Length * shape.Length * shape.Rows);
        var masked = _tape.Run(count, query.Width, [bounded], new() { Keeps = shape.Length * shape.Length });
        var weights = _tape.Run(count, sizeof(float), [masked], new() { SavesResult = true, Scratch = masked.Width == sizeof(float) ? 0 : count * sizeof(float) });
        if (query.Width != sizeof(float))
            weights = _tape.Run(count, query.Width, [weights], Tape.Plain);
        var last = Run(value);
        weights = Dropout(weights, dropout);
        var product = _tape.Run(query.Count, query.Width, [weights, last], new() { Saves = [weights, last] });
        _tape.Drop(last);
        return Join(product);
    }

    /// <summary>DeBERTa's products of contents with positions, <c>[rows, heads, seq, positions]</c>, of which each pair of tokens takes its own, <c>[rows, heads, seq, seq]</c>.</summary>
    public Value Gathered(Value content, Value positions, long heads, long count)
    {
        var (left, right) = (Run(content), _tape.Run(positions.Count * shape.Rows, positions.Width, [positions], new() { BackwardScratch = positions.Bytes })); // copied for every row
        var products = _tape.Run(shape.Tokens * heads * count, content.Width, [left, right], new() { Saves = [left, right] });
        _tape.Drop(left);
        _tape.Drop(right);
        return _tape.Run(Scores(heads), content.Width, [products], new() { Saves = [products] });
    }

    /// <summary>Heads side by side again: a copy, unless the kernel has laid them so.</summary>
    private Value Join(Value attended) => Run(attended);

    /// <summary>Queries or keys turned by their positions: four products of halves, two sums, and what they are joined to.</summary>
    public Value Rotate(Value heads)
    {
        _tape.Keep(3 * heads.Bytes);
        return _tape.Run(heads.Count, heads.Width, [heads], new() { BackwardScratch = 2 * heads.Bytes });
    }

    /// <summary>Shared key heads, once for each query head.</summary>
    public Value Repeat(Value heads, long times) => times == 1 ? heads : _tape.Run(heads.Count * times, heads.Width, [heads], new() { BackwardScratch = heads.Bytes });
}
