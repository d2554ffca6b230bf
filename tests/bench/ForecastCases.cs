using FineTuneService.Contracts;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Bench;

/// <summary>A run whose memory is forecast and measured.</summary>
/// <param name="Model">config.json of a family's small model.</param>
/// <param name="Length">Tokens of a row.</param>
internal sealed record ForecastCase(string Model, MethodConfig Method, int Batch, int Length, TrainingArguments Training)
{
    /// <summary>Rows of many lengths, which are padded; otherwise all are cut to one length.</summary>
    public bool Varied { get; init; }

    public TaskConfig? Task { get; init; }

    public bool IsDecoder => Model is Gpt2 or Llama or Qwen3 or Gemma2;

    public TaskConfig Learns => Task ?? (IsDecoder ? new CausalLmConfig { SamplePrompts = [] } : new TextClassificationConfig());

    public ModelHead Head => ((TrainingTaskConfig)Learns).Head;

    private const string Bert = """
        {"architectures": ["BertForMaskedLM"], "model_type": "bert", "vocab_size": 8192, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 6, "intermediate_size": 1536, "max_position_embeddings": 512, "pad_token_id": 0}
        """;

    private const string DistilBert = """
        {"architectures": ["DistilBertForMaskedLM"], "model_type": "distilbert", "vocab_size": 8192, "dim": 512, "hidden_dim": 2048, "n_layers": 4, "n_heads": 8, "max_position_embeddings": 512, "pad_token_id": 0}
        """;

    private const string ModernBert = """
        {"architectures": ["ModernBertForMaskedLM"], "model_type": "modernbert", "vocab_size": 8192, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 6, "intermediate_size": 768, "max_position_embeddings": 1024, "pad_token_id": 0}
        """;

    private const string Deberta = """
        {"architectures": ["DebertaV2ForMaskedLM"], "model_type": "deberta-v2", "vocab_size": 16384, "hidden_size": 384, "num_hidden_layers": 4, "num_attention_heads": 6, "intermediate_size": 1536, "max_position_embeddings": 512, "type_vocab_size": 0,
         "relative_attention": true, "position_buckets": 64, "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p", "position_biased_input": false, "pad_token_id": 0}
        """;

    private const string Gpt2 = """
        {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 16384, "n_positions": 1024, "n_embd": 384, "n_layer": 6, "n_head": 6}
        """;

    private const string Llama = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 16384, "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 2048, "tie_word_embeddings": false}
        """;

    private const string Qwen3 = """
        {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 32768, "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64, "max_position_embeddings": 2048, "tie_word_embeddings": true}
        """;

    private const string Gemma2 = """
        {"architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "vocab_size": 32768, "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 96, "query_pre_attn_scalar": 96, "max_position_embeddings": 2048, "sliding_window": 128}
        """;

    private static readonly FullFineTuningConfig Full = new();
    private static readonly LoraConfig Lora = new() { R = 16, TargetModules = new(LoraConfig.AllLinear) };
    private static readonly TrainingArguments Plain = new(), Checkpointed = new() { GradientCheckpointing = true }, Bf16 = new() { MixedPrecision = MixedPrecision.Bf16 };

    /// <summary>Families, methods, precisions, optimizers, gradient checkpointing, batches and lengths; each occurs several times, no two cases differ in one thing only.</summary>
    public static IReadOnlyList<ForecastCase> All { get; } =
    [
        new(Bert, Full, 16, 128, Plain),
        new(Bert, Full, 32, 128, Checkpointed with { Optim = OptimizerName.Adamw8bit }),
        new(Bert, Lora, 24, 192, Bf16) { Varied = true },
        new(Bert, Full, 16, 128, new() { Optim = OptimizerName.Sgd, OptimArgs = "momentum=0.9" }) { Task = new MaskedLanguageModelConfig() },
        new(DistilBert, Full, 16, 128, Bf16),
        new(DistilBert, Full, 8, 256, Checkpointed with { Optim = OptimizerName.Adafactor }) { Varied = true },
        new(DistilBert, new FullFineTuningConfig { Freeze = new() { Layers = 2, Embeddings = true } }, 32, 96, new() { EmaDecay = 0.99 }),
        new(ModernBert, Full, 16, 192, Plain) { Varied = true },
        new(ModernBert, new LoraConfig { R = 8, LoraDropout = 0.1, TargetModules = new(["Wqkv"]) }, 8, 512, Checkpointed),
        new(Deberta, Full, 16, 128, Plain),
        new(Deberta, Full, 24, 192, Bf16 with { GradientCheckpointing = true, Optim = OptimizerName.Adafactor }) { Varied = true },
        new(Gpt2, Full, 8, 256, Plain),
        new(Gpt2, Lora, 4, 512, Bf16),
        new(Llama, Full, 4, 512, Checkpointed),
        new(Llama, new QloraConfig { R = 16 }, 8, 256, Plain),
        new(Llama, new QloraConfig { R = 8, TargetModules = new(LoraConfig.AllLinear), ComputeDtype = ComputeType.Bfloat16 }, 8, 512, Bf16 with { GradientCheckpointing = true }),
        new(Qwen3, Full, 4, 256, Bf16 with { Optim = OptimizerName.Adamw8bit }),
        new(Qwen3, new LoraConfig { R = 8, UseDora = true, TargetModules = new(LoraConfig.AllLinear) }, 8, 192, Plain),
        new(Gemma2, Full, 4, 256, new() { Optim = OptimizerName.Sgd, WeightDecay = 0.01 }),
        new(Gemma2, Lora, 4, 384, Bf16 with { GradientCheckpointing = true, GradientAccumulationSteps = 2 }),
    ];

    public override string ToString()
    {
        var method = Method is LoraConfig { UseDora: true } ? "dora" : Training.EmaDecay is not null ? "frozen+ema" : Training.GradientAccumulationSteps > 1 ? $"lora ×{Training.GradientAccumulationSteps}" : Method.GetType().Name.Replace("FineTuningConfig", "").Replace("Config", "").ToLowerInvariant();
        var family = Model.Split("\"model_type\": \"")[1].Split('"')[0];
        var precision = Training.MixedPrecision == MixedPrecision.No ? "fp32" : "bf16";
        var kept = Training.GradientCheckpointing ? "checkpointed" : "";
        return $"{family,-10} {method,-10} {precision} {kept,-12} {Training.Optim.ToString().ToLowerInvariant(),-10} {Batch,2} x {Length,-3}{(Varied ? " padded" : "")}";
    }
}
