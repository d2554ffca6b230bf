using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Generation;

/// <summary>One prompt's way to the end of its continuation: draws a token a step, and tells the text that is certain.</summary>
internal sealed class GeneratedText : IDisposable
{
    private readonly int _prompt, _promptTokens, _most;
    private readonly GenerationSettings _settings;
    private readonly Generator _generator;
    private readonly TokenSampler _sampler;
    private readonly IncrementalDecoder _decoder;
    private readonly StopStrings _stops;
    private int _count;

    public GeneratedText(Tokenizer tokenizer, int prompt, int[] ids, GenerationSettings settings, long seed, int maxLength)
    {
        (_prompt, _promptTokens, _settings) = (prompt, ids.Length, settings);
        _most = Math.Min(settings.MaxNewTokens, maxLength - ids.Length);
        _generator = new Generator((ulong)seed); // Of its own: what is drawn does not depend on the neighbours.
        _sampler = new(settings, _generator);
        _decoder = new(tokenizer, skipSpecialTokens: true, context: ids);
        _stops = new(settings.StopStrings);
    }

    public bool IsFinished { get; private set; }

    public int LastToken { get; private set; }

    /// <param name="logits">Of the next token, <c>[vocabulary]</c>.</param>
    /// <returns>Null when no text is certain yet, or after the end.</returns>
    public GeneratedPiece? Step(Tensor logits, IReadOnlyCollection<int> text)
    {
        if (IsFinished)
            return null;
        LastToken = _sampler.Next(logits, text);
        _count++;
        if (_settings.EosTokenIds.Contains(LastToken))
            return Finish(Rest(), FinishReason.Stop);
        var (certain, found) = _stops.Add(_decoder.Add(LastToken));
        if (found)
            return Finish(certain, FinishReason.Stop);
        if (_count == _most)
            return Finish(certain + Rest(), FinishReason.Length);
        return certain.Length > 0 ? new(_prompt, certain) : null;
    }

    public void Dispose() => _generator.Dispose();

    private string Rest()
    {
        var (certain, found) = _stops.Add(_decoder.Flush());
        return found ? certain : certain + _stops.Flush();
    }

    private GeneratedPiece Finish(string text, FinishReason reason)
    {
        IsFinished = true;
        return new(_prompt, text) { FinishReason = reason, PromptTokens = _promptTokens, CompletionTokens = _count };
    }
}
