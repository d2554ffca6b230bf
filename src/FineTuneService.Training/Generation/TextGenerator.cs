using System.Globalization;
using System.Security.Cryptography;
using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Native;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Generation;

/// <summary>A causal language model, warm: prompts in, their continuations out, piece by piece.</summary>
public sealed class TextGenerator : IDisposable
{
    /// <summary>Prompts that are continued side by side.</summary>
    private const int BatchSize = 16;

    private readonly PretrainedModel _model;
    private readonly Tokenizer _tokenizer;
    private readonly Lazy<ChatTemplate?> _template;
    private readonly Device _device;

    /// <param name="folder">A whole model, or an adapter.</param>
    /// <param name="baseFolder">Of an adapter whose base is not found by itself.</param>
    /// <exception cref="FaultException">When the folder holds no causal language model: a head drawn at random would answer, and mean nothing.</exception>
    public TextGenerator(string folder, Device device, string? baseFolder = null)
    {
        _device = device;
        var opened = FineTunedFolder.Open(folder, baseFolder);
        _tokenizer = Tokenizer.Load(opened.TokenizerFolder);
        _template = new(() => ChatTemplate.Load(opened.TokenizerFolder)); // Whoever gives prompts does not need it.
        Defaults = GenerationSettings.Read(opened.BaseFolder ?? folder, opened.Config, _tokenizer);
        // Where the head is tied to the embedding, only config.json tells a classifier from a language model.
        if (opened.Config.Architecture is { } architecture && architecture.EndsWith("Classification", StringComparison.Ordinal))
            throw new FaultException(folder, architecture, "This model has no trained language-model head.", "Give a causal language model, or a checkpoint of a job that trained one.");
        _model = opened.Load(ModelHead.CausalLm);
        _model.to(device);
        _model.eval();
    }

    /// <summary>What the model's files ask for.</summary>
    public GenerationSettings Defaults { get; }

    public void Dispose() => _model.Dispose();

    /// <summary>The continuation of each prompt, in their order.</summary>
    /// <exception cref="FaultException">As in <see cref="Stream(IReadOnlyList{string}, GenerationConfig, bool, CancellationToken)"/>.</exception>
    public IReadOnlyList<string> Generate(IReadOnlyList<string> prompts, GenerationConfig config, CancellationToken cancel = default)
    {
        var texts = new string[prompts.Count];
        foreach (var piece in Stream(prompts, config, cancel: cancel))
            texts[piece.Prompt] += piece.Text;
        return texts;
    }

    /// <summary>Continues prompts, or answers a conversation; pieces come as they are known, in turns. Checks before the first piece.</summary>
    /// <exception cref="FaultException">When the request makes no sense, the model has no chat template for its messages, or a prompt fills the model.</exception>
    public IEnumerable<GeneratedPiece> Stream(GenerateRequest request, CancellationToken cancel = default)
    {
        var faults = new FaultList();
        request.Check(faults);
        faults.ThrowIfAny();
        if (request.Prompts is { } prompts)
            return Stream(prompts, request.Generation, cancel: cancel);
        var chat = ChatPrompt.Render(_template.Value, _tokenizer, request.Messages!, request.Tools);
        var settings = Defaults.With(request.Generation);
        return Stream(
            [("/messages", chat.Ids)], chat.TurnEnd is { } end ? settings with { EosTokenIds = [.. settings.EosTokenIds, end] } : settings, request.Generation.Seed, useCache: true, cancel);
    }

    /// <summary>Continues prompts; their pieces come as they are known, in turns. Checks before the first piece.</summary>
    /// <param name="useCache">False: every token reads the whole text again, to the same effect.</param>
    /// <exception cref="FaultException">When a setting makes no sense, or a prompt fills the model; all at once.</exception>
    public IEnumerable<GeneratedPiece> Stream(IReadOnlyList<string> prompts, GenerationConfig config, bool useCache = true, CancellationToken cancel = default) =>
        Stream([.. prompts.Select((prompt, i) => ($"/prompts/{i}", Encode(prompt)))], Defaults.With(config), config.Seed, useCache, cancel);

    private IEnumerable<GeneratedPiece> Stream((string Pointer, int[] Ids)[] texts, GenerationSettings settings, long? givenSeed, bool useCache, CancellationToken cancel)
    {
        var seed = givenSeed ?? BitConverter.ToInt64(RandomNumberGenerator.GetBytes(sizeof(long)));
        var faults = new FaultList();
        foreach (var (pointer, ids) in texts)
            faults.Require(
                ids.Length < _model.Config.MaxLength, pointer, $"{ids.Length} tokens",
                string.Create(CultureInfo.InvariantCulture, $"The model reads {_model.Config.MaxLength} tokens, and this leaves no room for one more."),
                string.Create(CultureInfo.InvariantCulture, $"Shorten it to at most {_model.Config.MaxLength - 1} tokens."));
        faults.ThrowIfAny();
        return Continue(_model, _tokenizer, _device, [.. texts.Select(text => text.Ids)], settings, seed, useCache, cancel);
    }

    /// <param name="model">In evaluation mode.</param>
    /// <param name="prompts">At least one token each, and fewer than the model reads.</param>
    internal static IEnumerable<GeneratedPiece> Continue(
        PretrainedModel model, Tokenizer tokenizer, Device device, IReadOnlyList<int[]> prompts, GenerationSettings settings, long seed, bool useCache = true, CancellationToken cancel = default) =>
        Enumerable.Range(0, prompts.Count).Chunk(BatchSize).SelectMany(batch => Continue(
            new Continuation(model, [.. batch.Select(prompt => prompts[prompt])], device, useCache),
            [.. batch.Select(prompt => new GeneratedText(tokenizer, prompt, prompts[prompt], settings, seed, model.Config.MaxLength))], cancel));

    /// <summary>No scope of tensors stays open while a piece is out: the scopes of whoever reads it would end up inside.</summary>
    private static IEnumerable<GeneratedPiece> Continue(Continuation continuation, GeneratedText[] rows, CancellationToken cancel)
    {
        try
        {
            while (rows.Any(row => !row.IsFinished))
            {
                cancel.ThrowIfCancellationRequested();
                GeneratedPiece[] pieces;
                using (NewDisposeScope())
                using (inference_mode())
                {
                    var logits = continuation.Next(); // [rows, vocabulary]
                    pieces = [.. rows.Select((row, i) => row.Step(logits[i], continuation.Texts[i])).OfType<GeneratedPiece>()];
                }
                continuation.Append([.. rows.Select(row => row.LastToken)]);
                HostMemory.Collect();
                foreach (var piece in pieces)
                    yield return piece;
            }
        }
        finally
        {
            foreach (var row in rows)
                row.Dispose();
            continuation.Dispose();
        }
    }

    private int[] Encode(string prompt)
    {
        var ids = _tokenizer.Encode(prompt).Ids;
        if (ids.Length > 0)
            return ids;
        return (_tokenizer.BosTokenId ?? _tokenizer.EosTokenId) is { } start ? [start]
            : throw new FaultException("/prompts", prompt, "This prompt has no token to begin with.", "Give at least one character.");
    }
}
