using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;

namespace FineTuneService.Training.Generation;

/// <summary>Texts that a causal model continues token by token, side by side: shorter prompts are padded at their left.</summary>
/// <param name="model">In evaluation mode.</param>
/// <param name="prompts">At least one token each.</param>
/// <param name="useCache">False: every step reads the whole text again.</param>
internal sealed class Continuation(PretrainedModel model, IReadOnlyList<IReadOnlyList<int>> prompts, Device device, bool useCache = true) : IDisposable
{
    private readonly KeyValueCache _cache = new();
    private readonly int _longest = prompts.Max(prompt => prompt.Count);
    private readonly List<int>[] _texts = [.. prompts.Select(prompt => prompt.ToList())];
    private long _regime;

    /// <summary>The ids of each text so far, the prompt's first.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Texts => _texts;

    private int Length => _longest - prompts[0].Count + _texts[0].Count;

    /// <summary>Logits of each text's next token, <c>[texts, vocabulary]</c>, float32; the caller's to dispose.</summary>
    public Tensor Next()
    {
        using var _ = inference_mode();
        using var scope = NewDisposeScope();
        var regime = model.Config.CacheRegime(Length);
        if (!useCache || regime != _regime)
            _cache.Clear();
        _regime = regime;
        var inputs = Inputs((int)_cache.Length);
        return model.call(inputs).select(1, 0).to(ScalarType.Float32).MoveToOuterDisposeScope(); // [texts, 1, vocabulary] → [texts, vocabulary]
    }

    /// <summary>Adds one token to each text.</summary>
    public void Append(IReadOnlyList<int> tokens)
    {
        for (var row = 0; row < _texts.Length; row++)
            _texts[row].Add(tokens[row]);
    }

    public void Dispose() => _cache.Dispose();

    private ModelInputs Inputs(int read)
    {
        var ids = Matrix(read, (row, slot) => slot < 0 ? 0 : _texts[row][slot]);
        var isPadded = prompts.Any(prompt => prompt.Count < _longest);
        return new ModelInputs(ids, isPadded ? Matrix(0, (_, slot) => slot < 0 ? 0 : 1) : null)
        {
            PositionIds = isPadded ? Matrix(read, (_, slot) => Math.Max(slot, 0)) : null,
            Cache = useCache ? _cache : null,
            LogitsToKeep = 1,
        };
    }

    /// <param name="value">Of a row and a place in its text, negative in the padding.</param>
    private Tensor Matrix(int from, Func<int, int, long> value)
    {
        var (rows, count) = (_texts.Length, Length - from);
        var values = new long[rows * count];
        for (var at = 0; at < values.Length; at++)
            values[at] = value(at / count, from + at % count - (_longest - prompts[at / count].Count));
        return tensor(values, device: device).reshape(rows, count);
    }
}
