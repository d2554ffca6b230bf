using System.ComponentModel.DataAnnotations;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Methods;

/// <summary>Low-rank adapters: the base stays as it is, small matrices beside its layers are trained. Names and defaults of PEFT's <c>LoraConfig</c>.</summary>
[SpecType("lora")]
public record LoraConfig : TrainingMethodConfig
{
    public const string AllLinear = "all-linear";

    private static readonly Fault NoBase =
        new("/init", "config", "An adapter to weights that were drawn at random is of no use: nobody has that base.", "Set method to full, or init to pretrained.");

    /// <summary>Rank of the update.</summary>
    [Range(1, 65_536)]
    public int R { get; init; } = 8;

    /// <summary>The update is scaled by lora_alpha / r.</summary>
    [Range(0.0, 1e6, MinimumIsExclusive = true)]
    public double LoraAlpha { get; init; } = 8;

    /// <summary>Dropout on what goes into the update.</summary>
    [Range(0.0, 1.0, MaximumIsExclusive = true)]
    public double LoraDropout { get; init; }

    /// <summary>
    /// A list of module names or their endings; or a string: a regular expression for the whole name, or <c>all-linear</c> (all linear layers but the head).
    /// Default: queries and values of the attention, as PEFT's for most families.
    /// </summary>
    public OneOrMany<string>? TargetModules { get; init; }

    /// <summary>Modules that are not adapted, in the same way as <see cref="TargetModules"/>.</summary>
    public OneOrMany<string>? ExcludeModules { get; init; }

    /// <summary>Modules that are trained whole and saved with the adapter. A classification head is always among them, as is whatever the base model lacks.</summary>
    public IReadOnlyList<string>? ModulesToSave { get; init; }

    /// <summary>Which biases are trained as well.</summary>
    public LoraBias Bias { get; init; }

    /// <summary>Scale by lora_alpha / √r (Kalajdzievski 2023, arXiv:2312.03732).</summary>
    public bool UseRslora { get; init; }

    /// <summary>Weight-decomposed adaptation: learns the length of each output's weights apart from their direction (Liu et al. 2024, arXiv:2402.09353).</summary>
    public bool UseDora { get; init; }

    /// <summary>Other ranks for some modules: name ending or regular expression to rank.</summary>
    public IReadOnlyDictionary<string, int> RankPattern { get; init; } = new Dictionary<string, int>();

    /// <summary>Other values of <see cref="LoraAlpha"/> for some modules.</summary>
    public IReadOnlyDictionary<string, double> AlphaPattern { get; init; } = new Dictionary<string, double>();

    /// <summary>Numbers of the layers to adapt; default: all. Only with a list of <see cref="TargetModules"/>.</summary>
    public OneOrMany<int>? LayersToTransform { get; init; }

    /// <summary>Name of the list whose layers are counted, such as <c>layers</c>; default: any.</summary>
    public OneOrMany<string>? LayersPattern { get; init; }

    /// <summary>
    /// An adapter to continue, on the base model that it was made for: its rank, targets and weights are taken over. Named as a folder under the models directory, or as
    /// <c>job:JOB</c>, <c>job:JOB@STEP</c>; in a run's job.json the path of a folder.
    /// </summary>
    [Length(1, 4096)]
    public string? Adapter { get; init; }

    public override TrainingMethodConfig InFolder(string folder) => Adapter is null ? this : this with { Adapter = Path.Combine(folder, Adapter) };

    public override void CheckInit(WeightsFrom init, FaultList faults)
    {
        if (init == WeightsFrom.Config)
            faults.Add(NoBase);
    }

    public override void Check(FaultList faults)
    {
        const string Pointer = "/method/";
        var isPattern = TargetModules is { IsOne: true };
        faults.Require(!isPattern || LayersToTransform is null, Pointer + "layers_to_transform", LayersToTransform, "A pattern in target_modules already says which layers.", "Give target_modules as a list, or put the layers' numbers into the pattern.");
        faults.Require(LayersPattern is null || LayersToTransform is not null, Pointer + "layers_pattern", LayersPattern, "It says how layers_to_transform are counted, which is absent.", "Give layers_to_transform as well, or leave it out.");
        faults.Require(TargetModules is not { Values.Count: 0 }, Pointer + "target_modules", "[]", "Nothing would be adapted.", "Name modules, or leave it out.");
        foreach (var (pattern, rank) in RankPattern)
            faults.Require(rank >= 1, $"{Pointer}rank_pattern/{JsonContract.Escape(pattern)}", rank, "A rank is at least 1.", "Give 1 or more.");
        CheckPatterns("target_modules", TargetModules is { IsOne: true, Values: [not AllLinear] } ? TargetModules.Values : []);
        CheckPatterns("exclude_modules", ExcludeModules is { IsOne: true } ? ExcludeModules.Values : []);
        CheckPatterns("rank_pattern", RankPattern.Keys);
        CheckPatterns("alpha_pattern", AlphaPattern.Keys);

        void CheckPatterns(string field, IEnumerable<string> patterns)
        {
            foreach (var pattern in patterns)
                faults.Require(IsPattern(pattern), Pointer + field, pattern, "This is no regular expression.", "Correct it, or give a list of names.");
        }
    }

    public override void CheckModel(PretrainedConfig model, IReadOnlyList<LayerOutline> layers, ModelHead head, FaultList faults)
    {
        var patterns = new FaultList();
        Check(patterns);
        if (!patterns.Any && Adapter is null)
            LoraSelection.Choose(layers, this, head, model.VocabSize, [.. SavedWhole(head)], faults);
    }

    /// <summary>Collects why this cannot go on with an adapter.</summary>
    /// <param name="baseName">As a specification names the base model.</param>
    public void CheckAdapter(AdapterFolder continued, string baseName, FaultList faults)
    {
        try
        {
            Continued(continued, baseName);
        }
        catch (FaultException error)
        {
            foreach (var fault in error.Faults)
                faults.Add(fault);
        }
    }

    /// <summary>Modules that go with the adapter whole, whatever the base has of them.</summary>
    internal IEnumerable<string> SavedWhole(ModelHead head) =>
        (ModulesToSave ?? []).Union(head is ModelHead.SequenceClassification or ModelHead.TokenClassification ? LoraSelection.ClassificationHeads : []);

    public override TrainedWeights Prepare(PretrainedModel model, ModelHead head, string? baseFolder, long seed)
    {
        if (baseFolder is null)
            throw new FaultException([NoBase]);
        var baseName = ModelName.Of(baseFolder);
        var config = Adapter is null ? this : Continued(AdapterFolder.Read(Adapter), baseName);
        LoraTargets.Find(model, config, head, newKeys: []); // Faults are told before gigabytes are read.
        var loaded = LoadBase(baseFolder, model, seed);
        var adapter = LoraAdapter.Attach(model, config, head, baseName, loaded.NewKeys, seed);
        if (Adapter is not null)
            adapter.Load(Adapter);
        return adapter;
    }

    protected virtual PretrainedFolder.Loaded LoadBase(string folder, PretrainedModel model, long seed) => PretrainedFolder.LoadWeights(folder, model, seed);

    /// <summary>The shape of the saved adapter; what only matters in training is this job's.</summary>
    private LoraConfig Continued(AdapterFolder continued, string baseName)
    {
        var saved = continued.Config;
        var usual = new LoraConfig();
        var faults = new FaultList();
        faults.Require(
            LastOf(continued.BaseName) == LastOf(baseName), "/method/adapter", continued.BaseName, $"The adapter was made for this base, and the job's is {baseName}.", "Give the adapter's base as base_model.");
        Agree("r", R, saved.R, usual.R);
        Agree("lora_alpha", LoraAlpha, saved.LoraAlpha, usual.LoraAlpha);
        Agree("use_rslora", UseRslora, saved.UseRslora, usual.UseRslora);
        Agree("use_dora", UseDora, saved.UseDora, usual.UseDora);
        Agree("bias", Bias, saved.Bias, usual.Bias);
        faults.Require(TargetModules is null, "/method/target_modules", TargetModules, "The adapter that is continued says what is adapted.", "Leave it out.");
        faults.Require(ModulesToSave is null, "/method/modules_to_save", ModulesToSave is null ? null : string.Join(", ", ModulesToSave), "The adapter that is continued says what is saved.", "Leave it out.");
        faults.ThrowIfAny();
        return saved with { LoraDropout = LoraDropout };

        void Agree<T>(string field, T here, T there, T silent) =>
            faults.Require(Equals(here, there) || Equals(here, silent), $"/method/{field}", here, $"The adapter that is continued has {there}.", "Leave it out, or start a new adapter.");
    }

    /// <summary>Adapters from elsewhere name their base by an id of the hub, or by a path of another machine.</summary>
    private static string LastOf(string name) => Path.GetFileName(Path.TrimEndingDirectorySeparator(name));

    private static bool IsPattern(string pattern)
    {
        try
        {
            _ = new Regex(pattern, RegexOptions.CultureInvariant);
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}

/// <summary>Which biases an adapter trains.</summary>
public enum LoraBias
{
    None,

    /// <summary>Every bias of the model.</summary>
    All,

    /// <summary>Those of the adapted layers.</summary>
    LoraOnly,
}
