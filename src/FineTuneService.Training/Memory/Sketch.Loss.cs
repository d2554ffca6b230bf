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
        var isFused = _tape.Records && (shape.KnowsLossFactor || (hidden.NeedsGradient && IsHeadFrozen(logits)));
        if (!isFused && shape.Tokens <= chunk)
            return Losses(hidden);
        Value[] losses = [.. Chunks().Select(tokens => Part(hidden, tokens * dim)).Select(states => isFused ? Fused(states, Losses) : Recompute([states], given => Losses(given[0])))];
        return _tape.Run(shape.Tokens, sizeof(float), losses, Tape.Plain);

        Value Losses(Value states) => CrossEntropy(logits(states), vocabulary);

        IEnumerable<long> Chunks()
        {
            for (long done = 0; done < shape.Tokens; done += chunk)
                yield return Math.Min(chunk, shape.Tokens - done);
        }
    }

    /// <summary>See <see cref="FusedCrossEntropy"/>: the product with what arrives, which is fp32, is rounded.</summary>
    private Value Fused(Value states, Func<Value, Value> losses) =>
        _tape.Fused(states, (tape, given) => Within(tape, () => losses(given)), isMultiplied: !shape.KnowsLossFactor, scratch: shape.Width == sizeof(float) ? 0 : states.Count * sizeof(float));

    /// <summary>Asked as <see cref="NextTokens"/> does: by the logits of no states.</summary>
    private bool IsHeadFrozen(Func<Value, Value> logits) =>
        !Within(new Tape(new Meter(), _ => { }, records: true), () => logits(new(new(0), 0, shape.Width, NeedsGradient: false))).NeedsGradient;

    /// <summary>See <see cref="TokenCrossEntropy"/>: probabilities in fp32, for a moment; where the base is not asked, the gradient is written over the logits.</summary>
    private Value CrossEntropy(Value logits, long classes)
    {
        var probabilities = (logits.Width == sizeof(float) ? 1 : 2) * logits.Count * sizeof(float);
        var losses = _tape.Run(logits.Count / classes, sizeof(float), [logits], new()
        {
            Saves = [logits],
            Scratch = probabilities,
            BackwardScratch = probabilities - (shape.ComparesWithBase ? logits.Bytes : 0),
            OverwritesInput = !shape.ComparesWithBase,
        });
        return shape.ComparesWithBase ? Add(losses, Divergence(logits, classes)) : losses;
    }

    /// <summary>See <see cref="KlToBase.Divergence"/>: the base's logits go with the scope, its probabilities are kept.</summary>
    private Value Divergence(Value logits, long classes) => _tape.Scope(() =>
    {
        var isExact = logits.Width == sizeof(float);
        _tape.Keep(logits.Bytes + (isExact ? 0 : logits.Count * sizeof(float)));
        var exact = isExact ? logits : _tape.Run(logits.Count, sizeof(float), [logits], Tape.Plain);
        var given = _tape.Run(exact.Count, sizeof(float), [exact], new() { SavesResult = true });
        var difference = _tape.Run(exact.Count, sizeof(float), [given], Tape.Plain);
        var product = _tape.Run(exact.Count, sizeof(float), [difference], new() { Keeps = exact.Bytes });
        return _tape.Run(exact.Count / classes, sizeof(float), [product], Tape.Plain);
    });
}
