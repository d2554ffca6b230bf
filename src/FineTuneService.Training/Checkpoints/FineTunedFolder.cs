using FineTuneService.Contracts;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Checkpoints;

/// <summary>A fine-tuned model as it lies on disk: whole, or an adapter and the folder of its base.</summary>
/// <param name="BaseFolder">Null when the folder holds the whole model.</param>
public sealed record FineTunedFolder(string Path, string? BaseFolder, PretrainedConfig Config)
{
    private static readonly string[] SignsOfTokenizer = ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json"];

    /// <summary>The adapter's own tokenizer if it has one, as PEFT users save it, else the base's.</summary>
    public string TokenizerFolder => BaseFolder is null || SignsOfTokenizer.Any(file => File.Exists(System.IO.Path.Combine(Path, file))) ? Path : BaseFolder;

    /// <summary>What its logits are, by adapter_config.json or config.json; null where neither says it.</summary>
    public ModelHead? Head => (BaseFolder is null ? null : AdapterFolder.Read(Path).Head) ?? Config.Head;

    /// <summary>Full paths of the tokenizer's files.</summary>
    public IEnumerable<string> TokenizerFiles => Tokenizer.Load(TokenizerFolder).Files.Select(file => System.IO.Path.Combine(TokenizerFolder, file));

    /// <param name="baseFolder">Of an adapter, where a person names it; null: found by <see cref="AdapterFolder.FindBase"/>.</param>
    /// <exception cref="FaultException">When there is no model, or an adapter's base is missing.</exception>
    public static FineTunedFolder Open(string path, string? baseFolder = null)
    {
        if (!AdapterFolder.Is(path))
            return new(path, null, PretrainedConfig.Read(path));
        var found = AdapterFolder.Read(path).FindBase(path, baseFolder);
        return new(path, found, PretrainedConfig.Read(File.Exists(System.IO.Path.Combine(path, "config.json")) ? path : found));
    }

    /// <summary>The model, an adapter merged into it.</summary>
    /// <exception cref="FaultException">When weights are missing: a head drawn at random would answer, and mean nothing.</exception>
    public PretrainedModel Load(ModelHead head)
    {
        var model = Config.Create(head);
        var loaded = PretrainedFolder.LoadWeights(BaseFolder ?? Path, model, seed: 0);
        var missing = loaded.NewKeys;
        if (BaseFolder is not null)
        {
            var described = AdapterFolder.Read(Path);
            var adapter = LoraAdapter.Attach(model, described.Config, head, described.BaseName, [], seed: 0);
            adapter.Load(Path);
            adapter.MergeAndUnload();
            missing = [.. missing.Where(key => !adapter.Brings(key))];
        }
        foreach (var parameter in model.parameters())
            parameter.requires_grad = false;
        return missing.Count == 0 ? model : throw new FaultException(
            Path, string.Join(", ", missing.Take(3)), $"This model lacks {missing.Count} of the tensors that its task needs.", "Fine-tune it for the task first, or give a checkpoint of such a job.");
    }
}
