using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Memory;

internal sealed partial class Sketch
{
    /// <summary>The logits of a masked model or of one that judges, and their loss.</summary>
    /// <param name="classes">What a row of logits chooses among.</param>
    public Value Loss(Value logits, long classes) => shape.Pass == Pass.Verification ? logits : CrossEntropy(logits, classes);

    /// <summary>See <see cref="NextTokens"/>.</summary>
    public Value NextTokenLoss(Value hidden, long dim, long vocabulary, Func<Value, Value> logits)
    {
        if (shape.Pass == Pass.Verification)
            return logits(hidden);
        if (shape.ComparesWithBase)
            _tape.Keep(hidden.Bytes); // the base's
        var chunk = Math.Max(1, NextTokens.Elements / vocabulary);
        if (shape.Tokens <= chunk)
            return CrossEntropy(logits(hidden), vocabulary);
        Value[] losses = [.. Chunks().Select(tokens => Recompute([Part(hidden, tokens * dim)], states => CrossEntropy(logits(states[0]), vocabulary)))];
        return _tape.Run(shape.Tokens, sizeof(float), losses, Tape.Plain);

        IEnumerable<long> Chunks()
        {
            for (long done = 0; done < shape.Tokens; done += chunk)
                yield return Math.Min(chunk, shape.Tokens - done);
        }
    }

    /// <summary>In fp32; the logarithms of all probabilities are kept for the gradient.</summary>
    private Value CrossEntropy(Value logits, long classes)
    {
        var exact = logits.Width == sizeof(float) ? logits : _tape.Run(logits.Count, sizeof(float), [logits], Tape.Plain);
        var probabilities = _tape.Run(exact.Count, sizeof(float), [exact], new() { SavesResult = true });
        var losses = _tape.Run(exact.Count / classes, sizeof(float), [probabilities], Tape.Plain);
        _tape.Drop(probabilities);
        if (shape.LabelSmoothing > 0)
            losses = Add(losses, _tape.Run(exact.Count / classes, sizeof(float), [exact], new() { Saves = [exact], SavesResult = true, Scratch = exact.Bytes, BackwardScratch = 2 * exact.Bytes }));
        return shape.ComparesWithBase ? Add(losses, Divergence(logits, exact, classes)) : losses;
    }

    /// <summary>See <see cref="KlToBase.Divergence"/>: the base's logits go with the scope, its probabilities are kept.</summary>
    private Value Divergence(Value logits, Value exact, long classes) => _tape.Scope(() =>
    {
        _tape.Keep(logits.Bytes + (logits == exact ? 0 : exact.Bytes));
        var again = logits == exact ? exact : _tape.Run(logits.Count, sizeof(float), [logits], Tape.Plain);
        var given = _tape.Run(exact.Count, sizeof(float), [again], new() { SavesResult = true });
        var difference = _tape.Run(exact.Count, sizeof(float), [given], Tape.Plain);
        var product = _tape.Run(exact.Count, sizeof(float), [difference], new() { Keeps = exact.Bytes });
        return _tape.Run(exact.Count / classes, sizeof(float), [product], Tape.Plain);
    });
}
