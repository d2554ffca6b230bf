using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;

namespace FineTuneService.Training.Memory;

/// <summary>The parameters of a model, and what a method does with each: as the method itself decides, by names and shapes.</summary>
/// <param name="isStored">Whether the base model's files have a parameter of that name.</param>
internal sealed class ParameterPlan(MethodConfig method, PretrainedConfig config, ModelHead head, Func<string, bool> isStored)
{
    private const string Weight = ".weight";

    private readonly Dictionary<string, ParameterSlot> _slots = [];
    private readonly Dictionary<string, int> _blocks = [];
    private readonly LoraConfig? _lora = method is LoraConfig lora ? Effective(lora) : null;
    private Dictionary<string, int> _ranks = [];

    public IReadOnlyCollection<ParameterSlot> Slots => _slots.Values;

    public double LoraDropout => _lora?.LoraDropout ?? 0;

    public bool UsesDora => _lora?.UseDora ?? false;

    public bool DoubleQuant => method is QloraConfig { UseDoubleQuant: true };

    /// <summary>Bytes of an unpacked weight's number.</summary>
    /// <param name="width">Bytes of a number that the model computes with.</param>
    public int QuantizedWidth(int width) => method is QloraConfig { ComputeDtype: { } type } ? type == ComputeType.Bfloat16 ? 2 : 4 : width;

    /// <summary>The parameter of this name, which comes to be when it is asked for first.</summary>
    public ParameterSlot Slot(string name, IReadOnlyList<long> shape, SlotKind kind)
    {
        if (!_slots.TryGetValue(name, out var slot))
            _slots.Add(name, slot = new(name, shape, kind) { IsTrained = kind == SlotKind.Factor });
        return slot;
    }

    public void AddBlocks(string path, int count) => _blocks[path + "."] = count;

    /// <summary>Of the update of a layer; null where it has none.</summary>
    public int? RankOf(string layer) => _ranks.TryGetValue(layer, out var rank) ? rank : null;

    /// <summary>To be called when all parameters of the model are known; those of updates come with the next drawing.</summary>
    public void Decide()
    {
        if (_lora is null)
            DecideFull((FullFineTuningConfig)method);
        else
            DecideAdapter(_lora);
    }

    private void DecideFull(FullFineTuningConfig full)
    {
        var depths = new ParameterDepths(_blocks.Select(list => (list.Key, list.Value)));
        foreach (var slot in Slots)
            slot.IsTrained = full.Freeze?.Freezes(slot.Name, depths, IsNewForTask(slot.Name)) != true;
    }

    private void DecideAdapter(LoraConfig lora)
    {
        var layers = Slots.Where(slot => slot.Kind is SlotKind.Linear or SlotKind.Embedding).Select(slot =>
        {
            var name = slot.Name[..^Weight.Length];
            return new LayerOutline(name, slot.Shape, slot.Kind == SlotKind.Embedding, !IsInBase(name) && slot.Shape[0] == config.VocabSize);
        }).ToList();
        var anew = Slots.Where(slot => IsNewForTask(slot.Name) && !isStored(slot.Name)).Select(slot => slot.Name[..slot.Name.LastIndexOf('.')]).Distinct();
        string[] whole = [.. lora.SavedWhole(head), .. anew];
        _ranks = LoraSelection.Choose(layers, lora, head, config.VocabSize, whole, new()).Layers.ToDictionary(layer => layer.Name, layer => layer.Rank);
        foreach (var slot in Slots)
        {
            var layer = slot.Name[..slot.Name.LastIndexOf('.')];
            slot.IsTrained = IsSavedWhole(slot.Name, whole) || (slot.Name.EndsWith(".bias", StringComparison.Ordinal) && lora.Bias switch
            {
                LoraBias.All => true,
                LoraBias.LoraOnly => _ranks.ContainsKey(layer),
                _ => false,
            });
            slot.IsQuantized = lora is QloraConfig qlora && slot.Kind == SlotKind.Linear && IsInBase(slot.Name)
                && !(qlora.ModulesToSave ?? []).Concat(qlora.SkipModules ?? []).Any(skipped => LoraSelection.IsWithin(layer, skipped));
        }
    }

    /// <summary>By the names of the modules around a parameter, as <see cref="LoraTargets"/> finds them.</summary>
    private static bool IsSavedWhole(string parameter, string[] whole)
    {
        for (var end = parameter.LastIndexOf('.'); end > 0; end = parameter.LastIndexOf('.', end - 1))
            if (whole.Any(name => parameter.AsSpan(0, end).EndsWith(name, StringComparison.Ordinal)))
                return true;
        return false;
    }

    private bool IsInBase(string name) => name.StartsWith(config.BaseModelPrefix + ".", StringComparison.Ordinal);

    private bool IsNewForTask(string name) => !IsInBase(name) || name.StartsWith(BertForSequenceClassification.PoolerPrefix, StringComparison.Ordinal);

    /// <summary>An adapter that is continued has its own shape.</summary>
    private static LoraConfig Effective(LoraConfig lora) =>
        lora.Adapter is { } folder && AdapterFolder.Is(folder) ? AdapterFolder.Read(folder).Config with { LoraDropout = lora.LoraDropout } : lora;
}
